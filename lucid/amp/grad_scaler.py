"""``GradScaler``: loss scaling that keeps float16 gradients from vanishing and skips steps that overflow.

Nothing here waits for a value. Whether a gradient overflowed is an array on the device; the optimizer always takes its
step, and then every parameter and state tensor is selected between its old and its new value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks, _deferred, _threads, tape
from lucid._tensor import Tensor
from lucid.optim.optimizer import Optimizer
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import RuleOptimizer


class _Progress(NamedTuple):
    """What was done with an optimizer since the last ``update()``."""

    optimizer: Optimizer
    overflow: mx.array  # whether one of its gradients is infinite or NaN
    stepped: bool


class GradScaler:
    """Multiplies the loss by a scale, divides the gradients by it, and adapts the scale::

        scaler = lucid.amp.GradScaler()
        with lucid.autocast(dtype=lucid.float16):
            loss = criterion(model(images), classes)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    Gradients below 6e-8 underflow to zero in float16; scaling the loss keeps them representable. If a gradient is
    infinite or NaN, the step is skipped: parameters, optimizer state and step counts stay unchanged, and the scale is
    multiplied by ``backoff_factor``. bfloat16 does not need a scaler. As in PyTorch, learning rate schedules continue
    after a skipped step.

    Args:
        device: Accepted for compatibility with PyTorch; without effect.
        init_scale: The initial scale.
        growth_factor: Factor of the scale after ``growth_interval`` steps without overflow.
        backoff_factor: Factor of the scale after an overflow.
        growth_interval: Number of consecutive steps without overflow before the scale grows.
        enabled: With False, nothing is scaled and ``step`` only calls the optimizer's.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        device: str | None = None,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if device is not None and not isinstance(device, str):
            raise TypeError(f"GradScaler: device must be a string, got {device!r}; pass a scale as init_scale=...")
        self._enabled = bool(enabled)
        start = _checks.number("GradScaler", "init_scale", init_scale, 0.0, above=True)
        self._growth_factor = _checks.number("GradScaler", "growth_factor", growth_factor, 1.0, above=True)
        self._backoff_factor = _check_backoff("GradScaler", backoff_factor)
        self._growth_interval = _checks.integer("GradScaler", "growth_interval", growth_interval, 1)
        self._scale = tape.wrap(mx.array(start, mx.float32))
        self._growth_tracker = tape.wrap(mx.array(0, mx.int32))  # steps without overflow since the last change
        # Rebound rather than mutated, so that restoring the attribute restores everything.
        self._progress: dict[int, _Progress] = {}

    def scale(self, outputs: Any) -> Any:
        """Multiply a loss, or a list or tuple of losses, by the scale.

        Raises:
            TypeError: ``outputs`` is anything else.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, list | tuple):
            return type(outputs)([self.scale(one) for one in outputs])
        raise TypeError(
            f"GradScaler.scale: expected a tensor or a list or tuple of tensors, got {type(outputs).__name__}"
        )

    @_threads.between_traces
    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of the optimizer's parameters by the scale, e.g. to clip them before ``step``.

        Raises:
            RuntimeError: the gradients were already divided since the last ``update()``, or there are none.
            ValueError: a gradient is float16.
        """
        if not self._enabled:
            return
        _check_optimizer("unscale_", optimizer)
        if id(optimizer) in self._progress:
            past = "step() was" if self._progress[id(optimizer)].stepped else "unscale_() was"
            raise RuntimeError(f"GradScaler.unscale_: {past} already called for this optimizer since the last update()")
        self._record(_Progress(optimizer, self._unscale(optimizer), False))

    def _record(self, progress: _Progress) -> None:
        self._progress = {**self._progress, id(progress.optimizer): progress}

    def _unscale(self, optimizer: Optimizer) -> mx.array:
        graded = [(number, p) for number, p in enumerate(_parameters(optimizer)) if p.grad is not None]
        if not graded:
            raise RuntimeError("GradScaler: no parameter of the optimizer has a gradient; call scale(loss).backward()")
        for number, p in graded:
            if p.grad is not None and p.grad.dtype == mx.float16:
                raise ValueError(
                    f"GradScaler: the gradient of parameter {number} is float16 and would underflow when unscaled; "
                    "keep parameters in float32, autocast casts them where needed"
                )
        inverse, finite = 1 / self._scale._array, []
        for _, p in graded:
            assert p.grad is not None
            gradient = p.grad._array
            if gradient.size:
                finite.append(mx.all(mx.isfinite(gradient)))
            p.grad._rebind(gradient * inverse.astype(gradient.dtype))
        return ~mx.all(mx.stack(finite)) if finite else mx.array(False)

    @_threads.between_traces
    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Call ``optimizer.step(*args, **kwargs)`` if all gradients are finite, after ``unscale_`` if necessary.

        Raises:
            RuntimeError: called twice without ``update()``, with a closure, or without gradients.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        _check_optimizer("step", optimizer)
        if args or kwargs.get("closure") is not None:
            raise RuntimeError("GradScaler.step: closures are not supported, as their gradients would not be scaled")
        if id(optimizer) not in self._progress:
            self.unscale_(optimizer)
        progress = self._progress[id(optimizer)]
        if progress.stepped:
            raise RuntimeError("GradScaler.step: step() was already called for this optimizer since the last update()")
        if not isinstance(optimizer, RuleOptimizer):
            result = self._foreign_step(optimizer, progress.overflow, kwargs)
            self._record(progress._replace(stepped=True))
            return result
        before = [
            (group, p, p._array, {name: tensor._array for name, tensor in optimizer.state.get(p, {}).items()})
            for group in optimizer.param_groups
            for p in group["params"]
        ]
        with _deferred.collecting():  # evaluate the selected values only
            result = optimizer.step(**kwargs)
        _deferred.evaluate(_undo_on_overflow(optimizer, before, progress.overflow))
        self._record(progress._replace(stepped=True))
        return result

    def _foreign_step(self, optimizer: Optimizer, overflow: mx.array, kwargs: dict[str, Any]) -> Any:
        """The step of an optimizer whose state may be anything: skipped after an overflow, so its value is needed."""
        if not _deferred.evaluating():
            raise RuntimeError(
                f"GradScaler.step: {type(optimizer).__name__} defines a step of its own, which is skipped after an "
                "overflow; that cannot be decided in a compiled function, so call step() outside of it"
            )
        return None if _deferred.item(overflow) else optimizer.step(**kwargs)

    @_threads.between_traces
    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale after the steps since the last ``update()``, or set it to ``new_scale``.

        Raises:
            RuntimeError: no gradients were unscaled since the last ``update()``.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._set(self._scale, _new_scale(new_scale))
        elif not self._progress:
            raise RuntimeError("GradScaler.update: no gradients were checked; call step(optimizer) first")
        else:
            found = mx.any(mx.stack([one.overflow for one in self._progress.values()]))
            scale, count = self._scale._array, self._growth_tracker._array + 1
            due, grown = count == self._growth_interval, scale * self._growth_factor
            kept = mx.where(due & mx.isfinite(grown), grown, scale)
            self._set(self._scale, mx.where(found, scale * self._backoff_factor, kept))
            self._set(self._growth_tracker, mx.where(found | due, 0, count))
        self._progress = {}

    def _set(self, tensor: Tensor, array: mx.array) -> None:
        tensor._rebind(array)
        _deferred.track(tensor)  # evaluated by the next step

    def get_scale(self) -> float:
        """The scale as a number (waits for its value); 1.0 if disabled."""
        return float(self._scale.item()) if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """The factor after ``growth_interval`` steps without overflow."""
        return self._growth_factor

    def get_backoff_factor(self) -> float:
        """The factor after an overflow."""
        return self._backoff_factor

    def get_growth_interval(self) -> int:
        """The number of steps without overflow before the scale grows."""
        return self._growth_interval

    def is_enabled(self) -> bool:
        """Whether losses are scaled."""
        return self._enabled

    def state_tensors(self) -> list[Tensor]:
        """All tensors that ``update()`` rebinds, for compiled training steps."""
        return [self._scale, self._growth_tracker] if self._enabled else []

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON-serializable numbers (waits for their values); empty if disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": int(self._growth_tracker.item()),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a ``state_dict()`` of Lucid or PyTorch; no effect if disabled.

        Raises:
            ValueError: an entry is missing or out of range. Nothing is changed.
        """
        if not self._enabled:
            return
        where = "GradScaler.load_state_dict"
        wanted = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}
        if not isinstance(state_dict, Mapping) or not wanted <= set(state_dict):
            got = ", ".join(sorted(map(str, state_dict))) if isinstance(state_dict, Mapping) else repr(state_dict)
            hint = "; the state of a disabled scaler is empty" if not state_dict else ""
            raise ValueError(f"{where}: the state must have {', '.join(sorted(wanted))}; got {got or 'nothing'}{hint}")
        scale = _checks.number(where, "scale", state_dict["scale"], 0.0, above=True)
        growth_factor = _checks.number(where, "growth_factor", state_dict["growth_factor"], 1.0, above=True)
        backoff_factor = _check_backoff(where, state_dict["backoff_factor"])
        growth_interval = _checks.integer(where, "growth_interval", state_dict["growth_interval"], 1)
        count = _checks.integer(where, "_growth_tracker", state_dict["_growth_tracker"], 0)
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval = growth_interval
        self._set(self._scale, mx.array(scale, mx.float32))
        self._set(self._growth_tracker, mx.array(count, mx.int32))

    def __repr__(self) -> str:
        if not self._enabled:
            return "GradScaler(enabled=False)"
        return (
            f"GradScaler(growth_factor={self._growth_factor:g}, backoff_factor={self._backoff_factor:g}, "
            f"growth_interval={self._growth_interval})"
        )


_Before = tuple[ParamGroup, Tensor, mx.array, dict[str, mx.array]]


def _undo_on_overflow(optimizer: RuleOptimizer, before: list[_Before], overflow: mx.array) -> list[mx.array]:
    """Undo the optimizer's step where ``overflow`` is true; returns all arrays that were rebound."""
    rebound: list[mx.array] = []
    done: set[int] = set()  # step counts are shared by parameters

    def select(tensor: Tensor, former: mx.array) -> None:
        done.add(id(tensor))
        if tensor._array is not former:
            tensor._rebind(mx.where(overflow, former, tensor._array))
            rebound.append(tensor._array)

    for group, p, array, state in before:
        select(p, array)
        own = optimizer.state.get(p, {})
        for name, tensor in list(own.items()):
            former = state[name] if name in state else optimizer._initial_state(group, name, p)
            if id(tensor) in done:
                continue
            if former is not None:
                select(tensor, former)
            elif not _deferred.evaluating():
                raise RuntimeError(
                    f"GradScaler.step: {type(optimizer).__name__} with dampening cannot take its first step in a "
                    f"compiled function, because {name!r} has no value that could be kept if that step overflows; take "
                    "the first step outside of the compiled function, or use dampening=0"
                )
            elif overflow.item():  # the only case that needs the value, at a first step
                del own[name]
            else:
                rebound.append(tensor._array)
    return rebound


def _parameters(optimizer: Optimizer) -> Iterable[Tensor]:
    return (p for group in optimizer.param_groups for p in group["params"])


def _check_optimizer(caller: str, optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"GradScaler.{caller}: expected a lucid.optim.Optimizer, got {type(optimizer).__name__}")


def _check_backoff(caller: str, value: Any) -> float:
    number = _checks.number(caller, "backoff_factor", value, 0.0, above=True)
    if number >= 1:
        raise ValueError(f"{caller}: backoff_factor must be below 1, got {value!r}")
    return number


def _new_scale(value: Any) -> mx.array:
    if isinstance(value, Tensor):
        if value.numel() != 1 or not value.is_floating_point():
            got = f"shape {value.shape} and {_checks.dtype_name(value.dtype)}"
            raise ValueError(f"GradScaler.update: new_scale must be a number or a tensor with one element, got {got}")
        return value._array.reshape(()).astype(mx.float32)
    return mx.array(_checks.number("GradScaler.update", "new_scale", value, 0.0, above=True), mx.float32)
