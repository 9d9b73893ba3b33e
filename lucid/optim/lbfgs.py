"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, tape
from lucid._tensor import Tensor
from lucid.optim.line_search import Point, strong_wolfe
from lucid.optim.optimizer import Optimizer, closure_loss
from lucid.optim.param_group import ParamGroup


class LBFGS(Optimizer):
    """A quasi-Newton method for small problems whose loss is computed on all data.

    A step runs up to ``max_iter`` iterations. Each moves the parameters along an estimate of the Newton direction,
    made from the last ``history_size`` changes of parameters and gradient. It reads the loss and some sums after every
    evaluation, so it cannot be part of a compiled step. There can be only one group.

    Source: Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 7.4, 3.5 and 3.6.

    Args:
        params: Tensors or (name, tensor) pairs.
        lr: Length of a step; with a line search that of its first trial.
        max_iter: Number of iterations per step.
        max_eval: Number of evaluations of the loss per step; None: ``max_iter * 5 // 4``.
        tolerance_grad: Stop if no element of the gradient is larger.
        tolerance_change: Stop if no parameter, or the loss, changes by more.
        history_size: Number of changes that are kept; each takes twice the memory of the parameters.
        line_search_fn: "strong_wolfe", or None for steps of length ``lr``.

    Example:
        >>> x = nn.Parameter(lucid.tensor([3.0, -1.0]))
        >>> optimizer = optim.LBFGS([x], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = ((x - lucid.tensor([1.0, 2.0])) ** 2).sum()
        ...     loss.backward()
        ...     return loss
        ...
        >>> loss = optimizer.step(closure)
        >>> x.detach()
        tensor([1., 2.])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if max_eval is None:
            max_eval = _checks.integer(self._name, "max_iter", max_iter, 1) * 5 // 4
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Raises ValueError for a second group."""
        if self.param_groups:
            raise ValueError(f"{self._name}: there can be only one parameter group, as directions span all parameters")
        super().add_param_group(param_group)

    def _check(self, group: ParamGroup) -> None:
        assert group.lr_tensor is not None
        _checks.number(self._name, "lr", group.lr_tensor.item(), 0.0)
        for name in ("max_iter", "max_eval", "history_size"):
            group[name] = _checks.integer(self._name, name, group[name], 1)
        for name in ("tolerance_grad", "tolerance_change"):
            group[name] = _checks.number(self._name, name, group[name])
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(
                f"{self._name}: line_search_fn must be 'strong_wolfe' or None, got {group['line_search_fn']!r}"
            )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Run up to ``max_iter`` iterations; ``closure`` clears gradients, computes the loss and calls ``backward``.

        Returns:
            The loss before the first iteration.

        Raises:
            TypeError: there is no closure.
        """
        if not callable(closure):
            raise TypeError(f"{self._name}.step: needs a closure that computes the loss and its gradients")
        [group] = self.param_groups
        params = group["params"]
        state = self.state[params[0]]
        first_loss = closure_loss(closure)
        loss, gradient = float(first_loss), _flat_gradient(params)
        evaluations = 1
        state["func_evals"] = state.get("func_evals", 0) + 1
        if _largest(gradient) <= group["tolerance_grad"]:
            return first_loss
        history = _History(state, group["history_size"])
        rate = float(_deferred.item(group.learning_rate))

        def move(start: list[mx.array], length: float, direction: mx.array) -> None:
            for p, array, part in zip(params, start, _like(params, direction), strict=True):
                p._rebind((array + length * part).astype(array.dtype))

        for iteration in range(1, group["max_iter"] + 1):
            direction = history.direction(gradient)
            state["n_iter"] = state.get("n_iter", 0) + 1
            length = rate * (min(1.0, 1.0 / _sum_of_sizes(gradient)) if state["n_iter"] == 1 else 1.0)
            loss_before, slope = loss, _dot(gradient, direction)
            history.moved_from(gradient, direction, length, loss)
            if slope > -group["tolerance_change"]:
                break
            start = [p._array for p in params]
            is_last = iteration == group["max_iter"]
            if group["line_search_fn"] is not None:

                def evaluate(trial: float) -> Point:
                    move(start, trial, direction)  # noqa: B023 called before the next iteration
                    value = float(closure_loss(closure))
                    found = _flat_gradient(params)
                    return Point(trial, value, _dot(found, direction), found)  # noqa: B023

                best, used = strong_wolfe(
                    evaluate,
                    Point(0.0, loss, slope, gradient),
                    length,
                    _largest(direction),
                    group["max_eval"] - evaluations,
                )
                length, loss, gradient = best.place, best.loss, best.gradient
                history.length = length
                move(start, length, direction)
            else:
                move(start, length, direction)
                used = 0
                if not is_last:
                    loss, gradient, used = float(closure_loss(closure)), _flat_gradient(params), 1
            evaluations += used
            state["func_evals"] += used
            if (
                is_last
                or evaluations >= group["max_eval"]
                or _largest(gradient) <= group["tolerance_grad"]
                or _largest(direction) * abs(length) <= group["tolerance_change"]
                or abs(loss - loss_before) < group["tolerance_change"]
            ):
                break
        history.save(state)
        return first_loss


class _History:
    """The changes of gradient and parameters in the last iterations, stored under PyTorch's names."""

    def __init__(self, state: dict[str, Any], size: int) -> None:
        self.size = size
        stored = zip(state.get("old_dirs", ()), state.get("old_stps", ()), strict=True)
        self.changes = [(change._array, step._array) for change, step in stored]
        self.factors: list[float] = [float(one) for one in state.get("ro", ())]
        self.scale = float(state.get("H_diag", 1.0))
        self.gradient = state["prev_flat_grad"]._array if "prev_flat_grad" in state else None
        self.moved = state["d"]._array if "d" in state else None
        self.length = float(state.get("t", 0.0))
        self.loss = state.get("prev_loss")

    def direction(self, gradient: mx.array) -> mx.array:
        """Minus the estimated inverse Hessian times ``gradient``, after taking in the last iteration's change."""
        if self.gradient is None or self.moved is None:
            return -gradient
        change, step = gradient - self.gradient, self.moved * self.length
        curvature = _dot(change, step)
        if curvature > 1e-10:
            self.changes = [*self.changes, (change, step)][-self.size :]
            self.factors = [*self.factors, 1 / curvature][-self.size :]
            self.scale = curvature / _dot(change, change)
        found = -gradient
        weights = []
        for (y, s), factor in zip(reversed(self.changes), reversed(self.factors), strict=True):
            weights.append(factor * mx.sum(s * found))
            found = found - weights[-1] * y
        found = found * self.scale
        for (y, s), factor, weight in zip(self.changes, self.factors, reversed(weights), strict=True):
            found = found + (weight - factor * mx.sum(y * found)) * s
        return found

    def moved_from(self, gradient: mx.array, direction: mx.array, length: float, loss: float) -> None:
        self.gradient, self.moved, self.length, self.loss = gradient, direction, length, loss

    def save(self, state: dict[str, Any]) -> None:
        assert self.gradient is not None and self.moved is not None
        state["old_dirs"] = [tape.wrap(y) for y, _ in self.changes]
        state["old_stps"] = [tape.wrap(s) for _, s in self.changes]
        state["prev_flat_grad"], state["d"] = tape.wrap(self.gradient), tape.wrap(self.moved)
        state.update(ro=list(self.factors), H_diag=self.scale, t=self.length, prev_loss=self.loss)


def _flat_gradient(params: list[Tensor]) -> mx.array:
    """The gradients of all parameters in one vector, zero where there is none."""
    return mx.concatenate(
        [(mx.zeros(p.shape, p.dtype) if p.grad is None else p.grad._array).reshape(-1) for p in params]
    )


def _like(params: list[Tensor], flat: mx.array) -> list[mx.array]:
    """``flat`` cut into arrays of the parameters' shapes."""
    ends, total = [], 0
    for p in params:
        total += p.numel()
        ends.append(total)
    return [part.reshape(p.shape) for p, part in zip(params, mx.split(flat, ends[:-1]), strict=True)]


def _dot(a: mx.array, b: mx.array) -> float:
    return float(_deferred.item(mx.sum(a * b)))


def _largest(a: mx.array) -> float:
    return float(_deferred.item(mx.max(mx.abs(a))))


def _sum_of_sizes(a: mx.array) -> float:
    return float(_deferred.item(mx.sum(mx.abs(a))))
