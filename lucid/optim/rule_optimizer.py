"""The base class of the optimizers of this package: a step that applies an update rule to every parameter.

A subclass validates the options of a group (``_check``), names the state of a parameter (``state_names``), and returns
the update rule of a group: a function ``rule(gradient, parameter, state) -> new parameter`` on arrays that stores the
new state in the dictionary ``state``. Rules call ``apply_single`` of ``mlx.optimizers`` wherever it matches PyTorch.

The state of a parameter is created with its first gradient. Parameters without a gradient are skipped, and their step
count does not change. Half-precision parameters keep their dtype, but their state and the arithmetic are float32: in
bfloat16, ``0.999 * v`` would round to ``v``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import mlx.core as mx

from lucid import _checks, _threads, tape
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.optim.optimizer import Optimizer, closure_loss, working_dtype
from lucid.optim.options import OPTIONAL, reject_differentiable
from lucid.optim.param_group import ParamGroup

Rule = Callable[[mx.array, mx.array, dict[str, mx.array]], mx.array]


class RuleOptimizer(Optimizer):
    """An optimizer whose step applies a rule to each parameter that has a gradient."""

    state_names: tuple[str, ...] = ()  # state of a parameter; "step" first if the rule needs the step count
    _arrays: tuple[mx.array, ...] | list[mx.array] = ()  # rebound by the last step

    # For subclasses -------------------------------------------------------------------------------------------------

    def _check(self, group: ParamGroup) -> None:
        raise NotImplementedError

    def _rule(self, group: ParamGroup) -> Rule:
        """The update rule for the group's current options."""
        raise NotImplementedError

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

    def _group(self, given: Mapping[str, Any]) -> ParamGroup:
        reject_differentiable(self._name, given.get("differentiable"))
        rate = given.get("lr", self.defaults["lr"])
        if not isinstance(rate, Tensor):
            _checks.number(self._name, "lr", rate, 0.0)
        group = super()._group(given)
        assert group.lr_tensor is not None
        _checks.number(self._name, "lr", group.lr_tensor.item(), 0.0)
        return group

    # The step -------------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = closure_loss(closure)
        self._update_all()
        return loss

    @_threads.between_traces
    def _update_all(self) -> None:
        work = [(group, self._with_gradient(group, number)) for number, group in enumerate(self.param_groups)]
        self._increment_steps([p for _, due in work for p in due])
        changed: list[mx.array] = []
        for group, due in work:
            if due:
                self._update(group, due, changed)
        self._arrays = changed

    def _changed(self) -> list[mx.array]:
        changed, self._arrays = self._arrays, ()
        return list(changed)

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

    # State ----------------------------------------------------------------------------------------------------------

    def _state_owner(self, caller: str, index: Any, owners: dict[Any, Tensor]) -> Any:
        if index not in owners:
            raise ValueError(f"{caller}: the state of parameter {index!r} belongs to no group")
        return owners[index]

    def _loaded_group(self, caller: str, number: int, saved: Mapping[str, Any]) -> dict[str, Any]:
        missing = sorted(set(self.defaults) - set(saved) - OPTIONAL)
        if missing:
            raise ValueError(f"{caller}: group {number} of the state has no {', '.join(map(repr, missing))}")
        return dict(self._group(super()._loaded_group(caller, number, saved)))

    def _loaded_state(
        self, caller: str, parameter: Tensor, values: Mapping[str, Any], counts: dict[float, Tensor]
    ) -> dict[str, Any]:
        loaded: dict[str, Any] = {}
        if values and not set(values) & set(self.state_names):
            raise ValueError(
                f"{caller}: {next(iter(values))!r} is not a state of {self._name}; "
                f"known are {', '.join(self.state_names)}"
            )
        others = {name: value for name, value in values.items() if name not in self.state_names}
        for name, value in values.items():
            if name in others:
                continue
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
        if "step" in loaded:
            loaded["step"] = counts.setdefault(loaded["step"].item(), loaded["step"])
        return loaded | super()._loaded_state(caller, parameter, others, counts)  # what the user keeps there
