"""Parameter groups: dictionaries of options whose learning rate is also available as a tensor."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from lucid import _checks, tape
from lucid._tensor import Tensor


class ParamGroup(dict[str, Any]):
    """``{"params": [...], "lr": 0.1, ...}``, used like any dictionary.

    ``group["lr"]`` is the number or one-element Tensor that was set. ``group.lr_tensor`` is a Tensor with the same
    value that persists as long as the group, so a schedule changes an input of a compiled step and not a constant. The
    same holds for ``group.momentum`` once a schedule has changed it.
    """

    lr_tensor: Tensor | None = None  # None without a learning rate
    momentum_tensor: Tensor | None = None  # the momentum or first beta, if a schedule changes it

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        # Numbers are float64 for float64 parameters, which only the CPU supports.
        params = options.get("params", ())
        self._dtype = mx.float64 if any(p.dtype == mx.float64 for p in params) else mx.float32
        self.update(options)

    def __setitem__(self, key: str, value: Any) -> None:
        if key == "lr":
            value = self._store_lr(value)
        super().__setitem__(key, value)
        if self.momentum_tensor is not None and key in ("momentum", "betas"):
            self.momentum_tensor._rebind(mx.array(value[0] if key == "betas" else value, self._dtype))

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> ParamGroup:  # type: ignore[override,misc]
        self.update(other)
        return self

    @property
    def learning_rate(self) -> mx.array:
        """The learning rate as a scalar array."""
        assert self.lr_tensor is not None
        array = self.lr_tensor._array
        if array.dtype != self._dtype:
            array = array.astype(self._dtype)
        return array.reshape(()) if array.ndim else array

    def set_lr(self, value: float) -> None:
        """Change the learning rate; a Tensor that the user passed as ``lr`` is updated in place."""
        rate = self["lr"]
        if isinstance(rate, Tensor):
            rate._rebind(mx.full(rate.shape, value, rate.dtype))
        else:
            self["lr"] = value

    @property
    def momentum(self) -> Any:
        """The momentum or first beta: a number, or an array after the first ``set_momentum``."""
        if self.momentum_tensor is not None:
            return self.momentum_tensor._array
        return self["betas"][0] if "betas" in self else self["momentum"]

    def set_momentum(self, value: float) -> None:
        """Change the momentum or first beta, as schedules do."""
        if self.momentum_tensor is None:
            self.momentum_tensor = tape.wrap(mx.array(value, self._dtype))
        if "betas" in self:
            self["betas"] = (value, *self["betas"][1:])
        else:
            self["momentum"] = value

    def _store_lr(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if value.numel() != 1 or not value.is_floating_point():
                got = f"shape {value.shape} and {_checks.dtype_name(value.dtype)}"
                raise ValueError(
                    f"optimizer: lr must be a number or a floating-point tensor with one element, got {got}"
                )
            self.lr_tensor = value
            return value
        if value is None:  # an optimizer that computes its own
            self.lr_tensor = None
            return value
        number = _checks.number("optimizer", "lr", value)
        if self.lr_tensor is not None and isinstance(self.get("lr"), float):
            self.lr_tensor._rebind(mx.array(number, self._dtype))
        else:  # the first value, or replaces the user's Tensor, which keeps its value
            self.lr_tensor = tape.wrap(mx.array(number, self._dtype))
        return number
