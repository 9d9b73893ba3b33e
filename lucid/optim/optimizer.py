"""The base class of optimizers: parameter groups, hooks, and saved state.

A subclass written for PyTorch defines ``step()``, which reads ``self.param_groups`` and ``p.grad``, keeps what it needs
in ``self.state[p]`` and writes to ``p`` or ``p.data``. Optimizers of this package define an update rule instead, see
``lucid/optim/rule_optimizer.py``.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import mlx.core as mx

from lucid import _deferred, _grad_mode, _threads, tape
from lucid._checks import dtype_name
from lucid._tensor import RemovableHandle, Tensor
from lucid._tensor_convert import as_array
from lucid.ops._common import LOW_PRECISION
from lucid.optim.param_group import ParamGroup

_SUFFIXES = (
    "step_pre",
    "step_post",
    "state_dict_pre",
    "state_dict_post",
    "load_state_dict_pre",
    "load_state_dict_post",
)


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()  # as a default, says that every group must set the option


class Optimizer:
    """Base class for optimizers, which update parameters using their gradients.

    A subclass calls ``super().__init__(params, defaults)`` and defines ``step()``; its groups may have any options, and
    ``self.state[p]`` may hold tensors and any other values. ``step()`` schedules the evaluation of everything it
    changes, so a training loop needs no ``eval()``. In a compiled step, what changes from step to step has to be a
    tensor, such as a step count: ``state["step"] = lucid.tensor(0.0)``.

    Args:
        params: An iterable of tensors, (name, tensor) pairs or groups. A group is a dictionary with ``"params"`` and
            the options that differ from the defaults, and any other keys.
        defaults: The options of groups that do not set them.

    Raises:
        TypeError: ``params`` is a tensor, a set or a dictionary, or contains anything but tensors.
        ValueError: there are no parameters, one is listed twice or is not a leaf, or an option is out of range.

    Example:
        >>> class SignSGD(optim.Optimizer):
        ...     def __init__(self, params, lr=0.1):
        ...         super().__init__(params, {"lr": lr})
        ...     @lucid.no_grad()
        ...     def step(self, closure=None):
        ...         for group in self.param_groups:
        ...             for p in group["params"]:
        ...                 if p.grad is not None:
        ...                     p.add_(p.grad.sign(), alpha=-group["lr"])
        ...
        >>> weight = nn.Parameter(lucid.ones(2))
        >>> optimizer = SignSGD([weight])
        >>> (weight * lucid.tensor([1.0, -3.0])).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.9, 1.1])
    """

    # Attributes of the class, because wrappers of an optimizer may not call __init__.
    _step_calls = 0  # schedulers warn if they step first
    _is_stepping = False  # a step() that calls that of its base class is one step

    param_groups: list[ParamGroup]
    state: defaultdict[Tensor, dict[str, Any]]
    defaults: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = _whole_step(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor | Mapping | set | frozenset | str) or not isinstance(params, Iterable):
            hint = " (its order differs between runs)" if isinstance(params, set | frozenset) else ""
            raise TypeError(
                f"{self._name}: params must be an iterable of tensors, (name, tensor) pairs or dictionaries, "
                f"got {type(params).__name__}{hint}"
            )
        self.defaults = defaults
        self.param_groups = []
        self.state = defaultdict(dict)
        for suffix in _SUFFIXES:
            self._hooks_of(suffix)
        groups = list(params)
        if not groups:
            raise ValueError(f"{self._name}: params is empty")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    # Groups ---------------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with their own options; missing options take the optimizer's defaults.

        Raises:
            TypeError, ValueError: as for the constructor.
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f'{self._name}: a group must be a dictionary with "params", got {param_group!r:.60}')
        params, names = self._parameters(param_group["params"], len(self.param_groups))
        names = names or param_group.get("param_names", [])
        group = self._group({**param_group, "params": params, **({"param_names": names} if names else {})})
        others = [one for one in self.param_groups if one["params"]]
        if others and params and ("param_names" in group) != ("param_names" in others[0]):
            raise ValueError(f"{self._name}: either all groups or none must name their parameters")
        self.param_groups.append(group)

    def _parameters(self, params: Any, number: int) -> tuple[list[Tensor], list[str]]:
        where = f"{self._name}: group {number}"
        if isinstance(params, set | frozenset | Mapping):
            raise TypeError(f"{where}: params must be ordered, such as a list, got {type(params).__name__}")
        if not isinstance(params, Iterable) or isinstance(params, str):
            raise TypeError(f"{where}: params must be a tensor or an iterable of tensors, got {type(params).__name__}")
        items = [params] if isinstance(params, Tensor) else list(params)
        named = [item for item in items if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)]
        if named and len(named) != len(items):
            raise ValueError(f"{where}: either all parameters or none must have names")
        names = [name for name, _ in named]
        found: list[Tensor] = [tensor for _, tensor in named] if named else items
        seen = {id(p): f"group {i}" for i, group in enumerate(self.param_groups) for p in group["params"]}
        for i, p in enumerate(found):
            what = f"parameter {names[i]!r}" if names else f"parameter {i}"
            if not isinstance(p, Tensor):
                raise TypeError(f"{where}: {what} must be a tensor, got {type(p).__name__} {p!r:.60}")
            if not p.is_leaf:
                raise ValueError(f"{where}: {what} was computed by {p.grad_fn!r}; only leaf tensors can be optimized")
            if not p.is_floating_point():
                raise ValueError(f"{where}: {what} must have a real floating-point dtype, got {dtype_name(p.dtype)}")
            if id(p) in seen:
                raise ValueError(f"{where}: {what} is already in {seen[id(p)]}")
            self._check_parameter(f"{where}: {what}", p)
            seen[id(p)] = "this group"
        return found, names

    def _check_parameter(self, name: str, parameter: Tensor) -> None:
        """Raise ValueError for a parameter that the optimizer cannot update."""

    def _group(self, given: Mapping[str, Any]) -> ParamGroup:
        """A group with the options ``given`` and defaults for the others."""
        merged = {**given, **{name: value for name, value in self.defaults.items() if name not in given}}
        missing = [name for name, value in merged.items() if value is required]
        if missing:
            raise ValueError(f"{self._name}: a group must set {', '.join(map(repr, missing))}, which have no default")
        group = ParamGroup(merged)
        self._check(group)
        return group

    def _check(self, group: ParamGroup) -> None:
        """Validate and normalize the options of a group."""

    # The step -------------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, and schedule the evaluation of all changes.

        ``closure``, if given, is called first to compute the loss and gradients; its result is returned.

        Raises:
            ValueError: a gradient and its parameter differ in shape. No parameter is changed.
        """
        raise NotImplementedError(f"{self._name}: define step()")

    def _changed(self) -> list[mx.array]:
        """What the last step may have changed."""
        return [tensor._array for tensor in (*self._all_parameters(), *self.state_tensors())]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set all gradients to None, or to zero with ``set_to_none=False``."""
        for parameter in self._all_parameters():
            parameter._clear_grad(set_to_none)

    # Hooks ----------------------------------------------------------------------------------------------------------

    def _hooks_of(self, suffix: str) -> dict[int, Callable[..., Any]]:
        return vars(self).setdefault(f"_optimizer_{suffix}_hooks", {})

    def _run_hooks(self, suffix: str, value: Any = None) -> Any:
        """``value``, or what hooks return in its place, after all hooks have been called with it (if there is one)."""
        for hook in tuple(self._hooks_of(suffix).values()):
            result = hook(self) if value is None else hook(self, value)
            value = value if result is None else result
        return value

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new ``(args, kwargs)``."""
        return RemovableHandle(self._hooks_of("step_pre"), hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return RemovableHandle(self._hooks_of("step_post"), hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` before ``state_dict()``."""
        return RemovableHandle(self._hooks_of("state_dict_pre"), hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after ``state_dict()``; it may return another dictionary."""
        return RemovableHandle(self._hooks_of("state_dict_post"), hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before ``load_state_dict()``; it may return another dictionary."""
        return RemovableHandle(self._hooks_of("load_state_dict_pre"), hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` after ``load_state_dict()``."""
        return RemovableHandle(self._hooks_of("load_state_dict_post"), hook, prepend)

    # State ----------------------------------------------------------------------------------------------------------

    def state_tensors(self) -> list[Tensor]:
        """All tensors besides parameters and gradients that a step reads or rebinds, without duplicates.

        These are the groups' learning rates (and momenta changed by a schedule) and the parameters' state, in a fixed
        order. After the first step the list stays the same while the same parameters have gradients.
        """
        found = [group.lr_tensor for group in self.param_groups if group.lr_tensor is not None]
        found += [group.momentum_tensor for group in self.param_groups if group.momentum_tensor is not None]
        for p in self._all_parameters():
            found += [tensor for _, tensor, _, _ in self.state_slots(p)]
        return list({id(tensor): tensor for tensor in found}.values())

    def state_slots(self, parameter: Tensor) -> Iterator[tuple[str, Tensor, Any, Any]]:
        """The tensors of ``self.state[parameter]``: a name, the tensor, and the container and key that hold it."""
        if parameter in self.state:
            yield from _slots("", self.state[parameter])

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {index: {name: tensor}}, "param_groups": [{..., "params": [index, ...]}]}``, as in PyTorch.

        Parameters are numbered across all groups. The tensors are those of the optimizer, which later steps change;
        ``copy.deepcopy(optimizer.state_dict())`` is a snapshot. Convert it with ``lucid.optim.flatten_state`` to save
        it to a file.
        """
        self._run_hooks("state_dict_pre")
        index = {id(p): i for i, p in enumerate(self._all_parameters())}
        found = {
            "state": {
                index[id(p)] if isinstance(p, Tensor) else p: _with_own_containers(state)
                for p, state in self.state.items()
                if state
            },
            "param_groups": [
                {
                    **{key: _with_own_containers(value) for key, value in group.items() if key != "params"},
                    "params": [index[id(p)] for p in group["params"]],
                }
                for group in self.param_groups
            ],
        }
        return self._run_hooks("state_dict_post", found)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a ``state_dict()`` of Lucid or PyTorch; arrays may be tensors, NumPy or MLX arrays.

        Raises:
            ValueError: groups, sizes, options, names or shapes do not match. Nothing is changed.
        """
        where = f"{self._name}.load_state_dict"
        state_dict = self._run_hooks("load_state_dict_pre", state_dict)
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(f'{where}: the state must be a dictionary with "state" and "param_groups"')
        saved = state_dict["param_groups"]
        if not all(isinstance(group, Mapping) and "params" in group for group in saved):
            raise ValueError(f'{where}: every group of the state must be a dictionary with "params"')
        sizes, own_sizes = [len(g["params"]) for g in saved], [len(g["params"]) for g in self.param_groups]
        if sizes != own_sizes:
            raise ValueError(f"{where}: the optimizer has groups of {own_sizes} parameters, the state has {sizes}")
        groups = [self._loaded_group(where, i, one) for i, one in enumerate(saved)]
        owners = dict(zip((i for g in saved for i in g["params"]), self._all_parameters(), strict=True))
        states: dict[Any, dict[str, Any]] = {}
        counts: dict[float, Tensor] = {}  # equal step counts share a tensor
        for index, values in state_dict["state"].items():
            owner = self._state_owner(where, index, owners)
            loaded = (
                values if owner is index else self._loaded_state(f"{where}: parameter {index}", owner, values, counts)
            )
            if loaded:
                states[owner] = loaded
        for group, new in zip(self.param_groups, groups, strict=True):
            if new.get("lr") is not None:
                group.set_lr(float(new.pop("lr")))
            group.update(new)
        self.state = defaultdict(dict, states)
        self._run_hooks("load_state_dict_post")

    def _state_owner(self, caller: str, index: Any, owners: dict[Any, Tensor]) -> Any:
        """The parameter whose state is saved under ``index``, or ``index`` itself for a key of the user's own."""
        return owners.get(index, index)

    def _all_parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _loaded_group(self, caller: str, number: int, saved: Mapping[str, Any]) -> dict[str, Any]:
        """The options that a saved group sets."""
        return {key: _converted(value) for key, value in saved.items() if key != "params"}

    def _loaded_state(
        self, caller: str, parameter: Tensor, values: Mapping[str, Any], counts: dict[float, Tensor]
    ) -> dict[str, Any]:
        """The saved state of a parameter; as in PyTorch in its dtype, except for "step"."""
        dtype = parameter.dtype if parameter.is_floating_point() else None
        return {name: _converted(value, None if name == "step" else dtype) for name, value in values.items()}

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            count = len(group["params"])
            elements = sum(p.numel() for p in group["params"])
            shown = {key: value for key, value in group.items() if key not in ("params", "param_names")}
            options = ", ".join(f"{key}={_format_option(value)}" for key, value in shown.items())
            tensors = f"{count} tensor{'' if count == 1 else 's'} of {elements:,} elements"
            lines.append(f"  group {i}: {tensors}, {options}\n")
        return f"{self._name}(\n{''.join(lines)})"


def _whole_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step`` with what belongs to every step: hooks before and after, and the evaluation of all changes."""

    @functools.wraps(step)
    def call(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self._is_stepping:  # super().step()
            return step(self, *args, **kwargs)
        _threads.prepare()
        self._is_stepping = True
        try:
            for hook in tuple(self._hooks_of("step_pre").values()):
                result = hook(self, args, kwargs)
                if result is not None:
                    args, kwargs = _new_arguments(self._name, result)
            out = step(self, *args, **kwargs)
            for hook in tuple(self._hooks_of("step_post").values()):
                hook(self, args, kwargs)
        finally:
            self._is_stepping = False
        self._step_calls += 1
        _deferred.evaluate(self._changed())
        return out

    return call


def _new_arguments(caller: str, result: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuntimeError(f"{caller}: a hook before the step must return None or (args, kwargs), got {result!r:.60}")
    return result


def closure_loss(closure: Callable[[], Any] | None) -> Any:
    """The result of ``closure``, which records gradients even under ``no_grad``."""
    if closure is None:
        return None
    with _grad_mode.set_recording(True):
        return closure()


def working_dtype(dtype: mx.Dtype) -> mx.Dtype:
    """The dtype in which parameters of ``dtype`` are updated and their state is stored."""
    return mx.float32 if dtype in LOW_PRECISION else dtype


def _slots(name: str, home: Any) -> Iterator[tuple[str, Tensor, Any, Any]]:
    items = home.items() if isinstance(home, dict) else enumerate(home)
    for key, value in items:
        path = f"{name}.{key}" if name else str(key)
        if isinstance(value, Tensor):
            yield path, value, home, key
        elif isinstance(value, dict | list):
            yield from _slots(path, value)


def _with_own_containers(value: Any) -> Any:
    """``value`` with the same tensors in new containers."""
    if isinstance(value, dict):
        return {key: _with_own_containers(one) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_with_own_containers, value))
    return value


def _converted(value: Any, dtype: mx.Dtype | None = None) -> Any:
    """``value`` with new tensors in place of arrays, floating-point ones in ``dtype``."""
    if isinstance(value, dict):
        return {key: _converted(one, dtype) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)([_converted(one, dtype) for one in value])
    if isinstance(value, Tensor | mx.array) or hasattr(value, "__array__"):
        array = as_array(value)
        is_floating = mx.issubdtype(array.dtype, mx.floating)
        return tape.wrap(array.astype(dtype) if dtype is not None and is_floating else array)
    return value


def _format_option(value: Any) -> str:
    return f"{value.item():g} (a tensor)" if isinstance(value, Tensor) else repr(value)
