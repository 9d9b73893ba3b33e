"""The base class of optimizers: parameter groups, the step, and saved state.

A subclass validates the options of a group (``_check``), names the state of a parameter (``state_names``), and returns
the update rule of a group: a function ``rule(gradient, parameter, state) -> new parameter`` on arrays that stores the
new state in the dictionary ``state``. Rules call ``apply_single`` of ``mlx.optimizers`` wherever it matches PyTorch.
Everything else is shared and implemented here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, _grad_mode, _threads, tape
from lucid._checks import dtype_name
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.ops._common import LOW_PRECISION
from lucid.optim.options import EXECUTION_OPTIONS, EXTRA_KEYS, reject_differentiable
from lucid.optim.param_group import ParamGroup

Rule = Callable[[mx.array, mx.array, dict[str, mx.array]], mx.array]


class Optimizer:
    """Updates parameters using their gradients.

    ``step()`` schedules the evaluation of everything it changes, so a training loop needs no ``eval()``. The state of a
    parameter is created with its first gradient. Parameters without a gradient are skipped, and their step count does
    not change.

    Half-precision parameters keep their dtype, but their state and the arithmetic are float32: in bfloat16,
    ``0.999 * v`` would round to ``v``.

    Args:
        params: An iterable of tensors, (name, tensor) pairs or groups. A group is a dictionary with ``"params"`` and
            the options that differ from the defaults.
        defaults: The options of groups that do not set them.

    Raises:
        TypeError: ``params`` is a tensor, a set or a dictionary, or contains anything but tensors.
        ValueError: there are no parameters, one is listed twice or is not a leaf, or an option is unknown or out of
            range.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> groups = [{"params": [model.weight]}, {"params": [model.bias], "weight_decay": 0.0}]
        >>> optimizer = optim.AdamW(groups, lr=1e-3, weight_decay=0.05)
        >>> [group["weight_decay"] for group in optimizer.param_groups]
        [0.05, 0.0]
    """

    state_names: tuple[str, ...] = ()  # state of a parameter; "step" first if the rule needs the step count

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor | Mapping | set | frozenset | str) or not isinstance(params, Iterable):
            hint = " (its order differs between runs)" if isinstance(params, set | frozenset) else ""
            raise TypeError(
                f"{self._name}: params must be an iterable of tensors, (name, tensor) pairs or dictionaries, "
                f"got {type(params).__name__}{hint}"
            )
        self.defaults = defaults
        self.param_groups: list[ParamGroup] = []
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)
        self._step_calls = 0  # schedulers warn if they step first
        groups = list(params)
        if not groups:
            raise ValueError(f"{self._name}: params is empty")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # For subclasses -------------------------------------------------------------------------------------------------

    def _check(self, group: ParamGroup) -> None:
        """Validate and normalize the options of a group."""
        raise NotImplementedError

    def _rule(self, group: ParamGroup) -> Rule:
        """The update rule for the group's current options."""
        raise NotImplementedError

    def _check_parameter(self, name: str, parameter: Tensor) -> None:
        """Raise ValueError for a parameter that the rule cannot update."""

    def _state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the state ``name`` for a parameter of the given shape."""
        return () if name == "step" else shape

    def _initial_state(self, group: ParamGroup, name: str, parameter: Tensor) -> mx.array | None:
        """The state ``name`` before the first step, equivalent to missing state.

        ``None`` if no value is equivalent.
        """
        dtype = mx.float32 if name == "step" else working_dtype(parameter.dtype)
        return mx.zeros(self._state_shape(name, parameter.shape), dtype)

    # Groups ---------------------------------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with their own options; missing options take the optimizer's defaults.

        Raises:
            TypeError, ValueError: as for the constructor.
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f'{self._name}: a group must be a dictionary with "params", got {param_group!r:.60}')
        params, names = self._parameters(param_group["params"], len(self.param_groups))
        group = self._group({**param_group, "params": params, **({"param_names": names} if names else {})})
        if self.param_groups and ("param_names" in group) != ("param_names" in self.param_groups[0]):
            raise ValueError(f"{self._name}: either all groups or none must name their parameters")
        self.param_groups.append(group)

    def _parameters(self, params: Any, number: int) -> tuple[list[Tensor], list[str]]:
        where = f"{self._name}: group {number}"
        if isinstance(params, set | frozenset | Mapping):
            raise TypeError(f"{where}: params must be ordered, such as a list, got {type(params).__name__}")
        items = [params] if isinstance(params, Tensor) else list(params)
        named = [item for item in items if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)]
        if named and len(named) != len(items):
            raise ValueError(f"{where}: either all parameters or none must have names")
        names = [name for name, _ in named]
        found: list[Tensor] = [tensor for _, tensor in named] if named else items
        if not found:
            raise ValueError(f"{where}: params is empty")
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

    def _group(self, given: Mapping[str, Any]) -> ParamGroup:
        """A validated group with the options ``given`` and defaults for the others."""
        reject_differentiable(self._name, given.get("differentiable"))
        options = {key: value for key, value in given.items() if key not in EXECUTION_OPTIONS}
        unknown = sorted(set(options) - set(self.defaults) - EXTRA_KEYS)
        if unknown:
            known = ", ".join(self.defaults)
            raise ValueError(
                f"{self._name}: unknown option {', '.join(map(repr, unknown))} of a group; known are {known}"
            )
        merged = {**self.defaults, **options}
        if not isinstance(merged["lr"], Tensor):
            _checks.number(self._name, "lr", merged["lr"], 0.0)
        group = ParamGroup(merged)
        _checks.number(self._name, "lr", group.lr_tensor.item(), 0.0)
        self._check(group)
        return group

    # The step -------------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, and schedule the evaluation of all changes.

        ``closure``, if given, is called first to compute the loss and gradients; its result is returned.

        Raises:
            ValueError: a gradient and its parameter differ in shape. No parameter is changed.
        """
        _threads.prepare()
        loss = None
        if closure is not None:
            with _grad_mode.set_recording(True):
                loss = closure()
        self._step_calls += 1
        work = [(group, self._with_gradient(group, number)) for number, group in enumerate(self.param_groups)]
        self._increment_steps([p for _, due in work for p in due])
        changed: list[mx.array] = []
        for group, due in work:
            if due:
                self._update(group, due, changed)
        _deferred.evaluate(changed)
        return loss

    def _with_gradient(self, group: ParamGroup, number: int) -> list[Tensor]:
        due = [p for p in group["params"] if p.grad is not None]
        for p in due:
            if not isinstance(p.grad, Tensor) or p.grad.shape != p.shape:
                place = next(i for i, one in enumerate(group["params"]) if one is p)
                name = repr(group["param_names"][place]) if "param_names" in group else str(place)
                got = p.grad.shape if isinstance(p.grad, Tensor) else type(p.grad).__name__
                raise ValueError(
                    f"{self._name}.step: the gradient of parameter {name} of group {number} must have its shape "
                    f"{p.shape}, got {got}"
                )
        return [p for p in due if p.numel()]  # parameters without elements need no update

    def _increment_steps(self, due: list[Tensor]) -> None:
        """Increment the step counts, if the rule uses them.

        Parameters with equal step counts share one tensor, so that values derived from it (bias corrections) are
        computed once. If some of them are skipped, the others get a new count.
        """
        if "step" not in self.state_names:
            return
        start = tape.wrap(mx.array(0.0))
        for p in due:
            self.state[p].setdefault("step", start)
        users = Counter(id(state["step"]) for state in self.state.values() if "step" in state)
        moving = Counter(id(self.state[p]["step"]) for p in due)
        moved: dict[int, Tensor] = {}
        for p in due:
            count = self.state[p]["step"]
            key = id(count)
            if key not in moved:
                after = count._array + 1
                if moving[key] == users[key]:
                    count._rebind(after)
                    moved[key] = count
                else:
                    moved[key] = tape.wrap(after)
            self.state[p]["step"] = moved[key]

    def _update(self, group: ParamGroup, due: list[Tensor], changed: list[mx.array]) -> None:
        """Update the parameters ``due`` of one group and append all rebound arrays to ``changed``."""
        rule = self._rule(group)
        maximize = group.get("maximize", False)
        for p in due:
            assert p.grad is not None
            parameter, gradient, dtype = p._array, p.grad._array, p._array.dtype
            working = working_dtype(dtype)
            if dtype != working:
                parameter = parameter.astype(working)
            if gradient.dtype != working:
                gradient = gradient.astype(working)
            if maximize:
                gradient = -gradient
            state = self.state[p]
            arrays = {name: tensor._array for name, tensor in state.items()}
            updated = rule(gradient, parameter, arrays)
            p._rebind(updated if updated.dtype == dtype else updated.astype(dtype))
            changed.append(p._array)
            for name, array in arrays.items():
                if name in state:
                    state[name]._rebind(array)
                else:
                    state[name] = tape.wrap(array)
                changed.append(array)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set all gradients to None, or to zero with ``set_to_none=False``."""
        _threads.prepare()
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = tape.wrap(mx.zeros_like(p.grad._array))

    # State ----------------------------------------------------------------------------------------------------------

    def state_tensors(self) -> list[Tensor]:
        """All tensors besides parameters and gradients that a step reads or rebinds, without duplicates.

        These are the groups' learning rates (and momenta changed by a schedule) and the parameters' state, in a fixed
        order. After the first step the list stays the same while the same parameters have gradients.
        """
        rates = [group.lr_tensor for group in self.param_groups]
        rates += [group.momentum_tensor for group in self.param_groups if group.momentum_tensor is not None]
        states = [tensor for p in self._all_parameters() for tensor in self.state.get(p, {}).values()]
        return list({id(tensor): tensor for tensor in rates + states}.values())

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {index: {name: tensor}}, "param_groups": [{..., "params": [index, ...]}]}``, as in PyTorch.

        Parameters are numbered across all groups. Later steps do not change the dictionary. Convert it with
        ``lucid.optim.flatten_state`` to save it to a file.
        """
        index = {id(p): i for i, p in enumerate(self._all_parameters())}
        return {
            "state": {
                index[id(p)]: {name: tape.wrap(tensor._array) for name, tensor in state.items()}
                for p, state in self.state.items()
                if state
            },
            "param_groups": [
                {
                    **{key: _snapshot(value) for key, value in group.items()},
                    "params": [index[id(p)] for p in group["params"]],
                }
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a ``state_dict()`` of Lucid or PyTorch; arrays may be tensors, NumPy or MLX arrays.

        Raises:
            ValueError: groups, sizes, options, names or shapes do not match. Nothing is changed.
        """
        where = f"{self._name}.load_state_dict"
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
        counts: dict[float, Tensor] = {}  # equal step counts share a tensor
        states: dict[Tensor, dict[str, Tensor]] = {}
        for index, values in state_dict["state"].items():
            if index not in owners:
                raise ValueError(f"{where}: the state of parameter {index!r} belongs to no group")
            loaded = self._loaded_state(f"{where}: parameter {index}", owners[index], values)
            if "step" in loaded:
                loaded["step"] = counts.setdefault(loaded["step"].item(), loaded["step"])
            if loaded:
                states[owners[index]] = loaded
        for group, new in zip(self.param_groups, groups, strict=True):
            group.set_lr(float(new.pop("lr")))
            group.update(new)
        self.state = defaultdict(dict, states)

    def _all_parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _loaded_group(self, caller: str, number: int, saved: Mapping[str, Any]) -> ParamGroup:
        missing = sorted(set(self.defaults) - set(saved))
        if missing:
            raise ValueError(f"{caller}: group {number} of the state has no {', '.join(map(repr, missing))}")
        return self._group({key: value for key, value in saved.items() if key != "params"})

    def _loaded_state(self, caller: str, parameter: Tensor, values: Mapping[str, Any]) -> dict[str, Tensor]:
        loaded = {}
        for name, value in values.items():
            if name not in self.state_names:
                raise ValueError(
                    f"{caller}: {name!r} is not a state of {self._name}; known are {', '.join(self.state_names)}"
                )
            if value is None:  # PyTorch's SGD without momentum saves None
                continue
            dtype = mx.float32 if name == "step" else working_dtype(parameter.dtype)
            array = as_array(value, dtype)
            wanted = self._state_shape(name, parameter.shape)
            if array.shape != wanted:
                raise ValueError(f"{caller}: {name} must have shape {wanted}, got {array.shape}")
            loaded[name] = tape.wrap(array)
        if loaded and "step" in self.state_names and "step" not in loaded:
            raise ValueError(f"{caller}: the state has no 'step'")
        return loaded

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


def working_dtype(dtype: mx.Dtype) -> mx.Dtype:
    """The dtype in which parameters of ``dtype`` are updated and their state is stored."""
    return mx.float32 if dtype in LOW_PRECISION else dtype


def _snapshot(value: Any) -> Any:
    if isinstance(value, Tensor):
        return tape.wrap(value._array)
    return list(value) if isinstance(value, list) else value


def _format_option(value: Any) -> str:
    return f"{value.item():g} (a tensor)" if isinstance(value, Tensor) else repr(value)
