"""The base of all optimizers: parameter groups, the step, and state that can be saved.

A subclass says which options a group has (``_check``), which state a parameter has (``state_names``), and gives the
*rule* of a group: a function of arrays ``rule(gradient, parameter, state) -> new parameter`` that puts the new state
into the dictionary ``state``. The rules call ``mlx.optimizers``' own ``apply_single`` wherever it computes what PyTorch
computes. Everything else is here, the same for all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, _grad_mode, tape
from lucid._checks import dtype_name
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.ops._common import LOW_PRECISION
from lucid.optim.options import EXECUTION, NOTES, refuse_differentiable
from lucid.optim.param_group import ParamGroup

Rule = Callable[[mx.array, mx.array, dict[str, mx.array]], mx.array]


class Optimizer:
    """Changes parameters by their gradients. ``params`` is an iterable of tensors, (name, tensor) pairs or groups.

    A group is a dictionary with ``"params"`` and the options that differ from the optimizer's. ``step()`` schedules the
    evaluation of all that it changed, so a training loop needs no ``eval()``. The state of a parameter is made when its
    first gradient arrives; a parameter without a gradient is passed over, and its step count stays.

    Half-precision parameters keep their dtype. Their state and the arithmetic are float32: in bfloat16,
    ``0.999 * v`` would round to ``v``.

    Raises:
        TypeError: ``params`` is a tensor, a set or a dictionary, or holds something that is no tensor.
        ValueError: there are no parameters, one comes twice or is no leaf, or an option is unknown or out of range.
    """

    state_names: tuple[str, ...] = ()  # of a parameter; "step" first where the rule reads the step count

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor | Mapping | set | frozenset | str) or not isinstance(params, Iterable):
            hint = " (its order would change from run to run)" if isinstance(params, set | frozenset) else ""
            raise TypeError(
                f"{self._name}: params must be an iterable of tensors, (name, tensor) pairs or dictionaries, "
                f"got a {type(params).__name__}{hint}"
            )
        self.defaults = defaults
        self.param_groups: list[ParamGroup] = []
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)
        self._step_calls = 0  # for the schedulers, which warn when they run ahead
        groups = list(params)
        if not groups:
            raise ValueError(f"{self._name}: params is empty: there is nothing to optimize")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # For subclasses --------------------------------------------------------------------------------------------------

    def _check(self, group: ParamGroup) -> None:
        """Check the options of a group and bring them into their normal form."""
        raise NotImplementedError

    def _rule(self, group: ParamGroup) -> Rule:
        """The update rule with the options that the group has now."""
        raise NotImplementedError

    def _check_parameter(self, name: str, parameter: Tensor) -> None:
        """Refuse a parameter that the rule cannot update."""

    def _state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a piece of state of a parameter of the given shape."""
        return () if name == "step" else shape

    def _first_state(self, group: ParamGroup, name: str, parameter: Tensor) -> mx.array | None:
        """A piece of state before the first step: what the rule takes the absence of this state for.

        ``None`` where no value stands for that.
        """
        dtype = mx.float32 if name == "step" else working_dtype(parameter.dtype)
        return mx.zeros(self._state_shape(name, parameter.shape), dtype)

    # Groups ----------------------------------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimize more parameters, with options of their own; what the group leaves out is the optimizer's default.

        Raises: as the constructor does.
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f'{self._name}: a group must be a dictionary with "params", got {param_group!r:.60}')
        params, names = self._parameters(param_group["params"], len(self.param_groups))
        group = self._group({**param_group, "params": params, **({"param_names": names} if names else {})})
        if self.param_groups and ("param_names" in group) != ("param_names" in self.param_groups[0]):
            raise ValueError(f"{self._name}: the parameters of all groups must have names, or none of them")
        self.param_groups.append(group)

    def _parameters(self, params: Any, number: int) -> tuple[list[Tensor], list[str]]:
        where = f"{self._name}: group {number}"
        if isinstance(params, set | frozenset | Mapping):
            raise TypeError(f"{where}: params must be ordered, a list for instance, got a {type(params).__name__}")
        items = [params] if isinstance(params, Tensor) else list(params)
        named = [item for item in items if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)]
        if named and len(named) != len(items):
            raise ValueError(f"{where}: all parameters must have names, or none of them")
        names = [name for name, _ in named]
        found: list[Tensor] = [tensor for _, tensor in named] if named else items
        if not found:
            raise ValueError(f"{where}: params is empty: there is nothing to optimize")
        seen = {id(p): f"group {i}" for i, group in enumerate(self.param_groups) for p in group["params"]}
        for i, p in enumerate(found):
            what = f"parameter {names[i]!r}" if names else f"parameter {i}"
            if not isinstance(p, Tensor):
                raise TypeError(f"{where}: {what} must be a tensor, got {type(p).__name__} {p!r:.60}")
            if not p.is_leaf:
                raise ValueError(f"{where}: {what} was computed by {p.grad_fn!r}; only leaves can be optimized")
            if not p.is_floating_point():
                raise ValueError(f"{where}: {what} must be of a real floating-point dtype, got {dtype_name(p.dtype)}")
            if id(p) in seen:
                raise ValueError(f"{where}: {what} is already in {seen[id(p)]}")
            self._check_parameter(f"{where}: {what}", p)
            seen[id(p)] = "this group"
        return found, names

    def _group(self, given: Mapping[str, Any]) -> ParamGroup:
        """A checked group of the options ``given`` and, for what they leave out, the defaults."""
        refuse_differentiable(self._name, given.get("differentiable"))
        options = {key: value for key, value in given.items() if key not in EXECUTION}
        unknown = sorted(set(options) - set(self.defaults) - NOTES)
        if unknown:
            known = ", ".join(self.defaults)
            raise ValueError(f"{self._name}: a group has no option {', '.join(map(repr, unknown))}; it has {known}")
        merged = {**self.defaults, **options}
        if not isinstance(merged["lr"], Tensor):
            _checks.number(self._name, "lr", merged["lr"], 0.0)
        group = ParamGroup(merged)
        _checks.number(self._name, "lr", group.rate.item(), 0.0)
        self._check(group)
        return group

    # The step --------------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, and schedule the evaluation of what has changed.

        ``closure`` computes the loss and its gradients first; what it returns is returned.

        Raises:
            ValueError: a gradient has another shape than its parameter. No parameter has changed then.
        """
        loss = None
        if closure is not None:
            with _grad_mode.set_recording(True):
                loss = closure()
        self._step_calls += 1
        work = [(group, self._due(group, number)) for number, group in enumerate(self.param_groups)]
        self._count([p for _, due in work for p in due])
        changed: list[mx.array] = []
        for group, due in work:
            if due:
                self._update(group, due, changed)
        _deferred.evaluate(changed)
        return loss

    def _due(self, group: ParamGroup, number: int) -> list[Tensor]:
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
        return [p for p in due if p.numel()]  # nothing to update in a parameter without elements

    def _count(self, due: list[Tensor]) -> None:
        """Add one to the step counts, where the rule has use for them.

        Parameters that have taken the same steps share one count, so that what a rule derives from it (a bias
        correction) is computed once for all of them. Where some are passed over, the others get a count of their own.
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
        """Update the parameters ``due`` of one group; what was rebound is appended to ``changed``."""
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
        """Forget the gradients, or with ``set_to_none=False`` make them zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = tape.wrap(mx.zeros_like(p.grad._array))

    # State -----------------------------------------------------------------------------------------------------------

    def state_tensors(self) -> list[Tensor]:
        """Every tensor that a step reads or rebinds beside parameters and gradients, each once.

        They are the learning rates (and momenta, where a schedule changes them) of the groups and the states of the
        parameters, in a fixed order. From the second step on the list stays the same as long as the same parameters
        have gradients.
        """
        rates = [group.rate for group in self.param_groups]
        rates += [group.cycled for group in self.param_groups if group.cycled is not None]
        states = [tensor for p in self._all() for tensor in self.state.get(p, {}).values()]
        return list({id(tensor): tensor for tensor in rates + states}.values())

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {index: {name: tensor}}, "param_groups": [{..., "params": [index, ...]}]}``, as in PyTorch.

        Parameters are numbered through all groups. The dictionary is a snapshot: later steps do not change it.
        ``lucid.optim.flatten_state`` makes it fit for a file.
        """
        index = {id(p): i for i, p in enumerate(self._all())}
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
        """Take over a state from ``state_dict()``, Lucid's or PyTorch's; arrays may be tensors, NumPy's or MLX's.

        Raises:
            ValueError: it does not fit: other groups, sizes, options, names or shapes. Nothing has changed then.
        """
        where = f"{self._name}.load_state_dict"
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(f'{where}: the state must be a dictionary with "state" and "param_groups"')
        saved = state_dict["param_groups"]
        if not all(isinstance(group, Mapping) and "params" in group for group in saved):
            raise ValueError(f'{where}: every group of the state must be a dictionary with "params"')
        sizes, own_sizes = [len(g["params"]) for g in saved], [len(g["params"]) for g in self.param_groups]
        if sizes != own_sizes:
            raise ValueError(f"{where}: the optimizer has groups of {own_sizes} parameters, the state of {sizes}")
        groups = [self._loaded_group(where, i, one) for i, one in enumerate(saved)]
        owners = dict(zip((i for g in saved for i in g["params"]), self._all(), strict=True))
        counts: dict[float, Tensor] = {}  # equal counts are shared again
        states: dict[Tensor, dict[str, Tensor]] = {}
        for index, values in state_dict["state"].items():
            if index not in owners:
                raise ValueError(f"{where}: there is a state of parameter {index!r}, but no group holds it")
            loaded = self._loaded_state(f"{where}: parameter {index}", owners[index], values)
            if "step" in loaded:
                loaded["step"] = counts.setdefault(loaded["step"].item(), loaded["step"])
            if loaded:
                states[owners[index]] = loaded
        for group, new in zip(self.param_groups, groups, strict=True):
            group.set_rate(float(new.pop("lr")))
            group.update(new)
        self.state = defaultdict(dict, states)

    def _all(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _loaded_group(self, where: str, number: int, saved: Mapping[str, Any]) -> ParamGroup:
        missing = sorted(set(self.defaults) - set(saved))
        if missing:
            raise ValueError(f"{where}: group {number} of the state has no {', '.join(map(repr, missing))}")
        return self._group({key: value for key, value in saved.items() if key != "params"})

    def _loaded_state(self, where: str, parameter: Tensor, values: Mapping[str, Any]) -> dict[str, Tensor]:
        loaded = {}
        for name, value in values.items():
            if name not in self.state_names:
                raise ValueError(f"{where}: {name!r} is no state of {self._name}; wanted {', '.join(self.state_names)}")
            if value is None:  # PyTorch's SGD without momentum
                continue
            dtype = mx.float32 if name == "step" else working_dtype(parameter.dtype)
            array = as_array(value, dtype)
            wanted = self._state_shape(name, parameter.shape)
            if array.shape != wanted:
                raise ValueError(f"{where}: {name} must have shape {wanted}, got {array.shape}")
            loaded[name] = tape.wrap(array)
        if loaded and "step" in self.state_names and "step" not in loaded:
            raise ValueError(f"{where}: the state has no 'step'")
        return loaded

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            count = len(group["params"])
            elements = sum(p.numel() for p in group["params"])
            shown = {key: value for key, value in group.items() if key not in ("params", "param_names")}
            options = ", ".join(f"{key}={_shown(value)}" for key, value in shown.items())
            tensors = f"{count} tensor{'' if count == 1 else 's'} of {elements:,} elements"
            lines.append(f"  group {i}: {tensors}, {options}\n")
        return f"{self._name}(\n{''.join(lines)})"


def working_dtype(dtype: mx.Dtype) -> mx.Dtype:
    """The dtype of the state and the arithmetic of a parameter of ``dtype``."""
    return mx.float32 if dtype in LOW_PRECISION else dtype


def _snapshot(value: Any) -> Any:
    if isinstance(value, Tensor):
        return tape.wrap(value._array)
    return list(value) if isinstance(value, list) else value


def _shown(value: Any) -> str:
    return f"{value.item():g} (a tensor)" if isinstance(value, Tensor) else repr(value)
