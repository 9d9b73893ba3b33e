"""Functions of ``torch`` that set or say how a process computes, and small ones for types."""

from __future__ import annotations

import os
from typing import Any

import mlx.core as mx

from lucid import _checks, _device, _precision
from lucid._tensor import Tensor
from lucid.distributions import Dirichlet

_settings: dict[str, Any] = {"float32_matmul_precision": "highest", "deterministic": False, "warn_only": False}


def is_storage(obj: Any) -> bool:
    """Whether ``obj`` is a storage: never, because MLX's arrays are not built on them."""
    return False


def typename(obj: Any) -> str:
    """The name of the type of ``obj``, such as ``"torch.FloatTensor"``."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def set_default_tensor_type(t: Any) -> None:
    """Accepts the types of float32 tensors, which are the default.

    Raises:
        TypeError: another type; ``torch.set_default_dtype`` sets other defaults.
    """
    name = t if isinstance(t, str) else getattr(t, "__name__", str(t))
    if str(name).rpartition(".")[2] not in ("FloatTensor", "Tensor"):
        raise TypeError(
            f"set_default_tensor_type: the default is FloatTensor, got {name}; pass dtype= where it matters"
        )


def get_num_threads() -> int:
    """The number of CPU threads of this process."""
    return int(os.environ.get("OMP_NUM_THREADS") or _device.cpu_count())


def set_num_threads(num: int) -> None:
    """Has no effect: MLX decides. OMP_NUM_THREADS and LUCID_NUM_THREADS, set before the start, limit its threads."""
    _checks.integer("set_num_threads", "num", num, 1)


get_num_interop_threads = get_num_threads
set_num_interop_threads = set_num_threads


def get_float32_matmul_precision() -> str:
    """The value that ``set_float32_matmul_precision`` set, at first ``"highest"``."""
    return str(_settings["float32_matmul_precision"])


def set_float32_matmul_precision(precision: str) -> None:
    """Keep ``precision``, which has no effect: MLX decides how matrices are multiplied."""
    wanted = _checks.one_of("set_float32_matmul_precision", "precision", precision, ("highest", "high", "medium"))
    _settings["float32_matmul_precision"] = wanted


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Keep ``mode``, which has no effect: Lucid's own gradients are deterministic, and MLX has no such setting."""
    _settings["deterministic"], _settings["warn_only"] = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """The mode that ``use_deterministic_algorithms`` set."""
    return bool(_settings["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """The ``warn_only`` that ``use_deterministic_algorithms`` set."""
    return bool(_settings["warn_only"])


def set_flush_denormal(mode: bool) -> bool:
    """False: MLX has no such setting."""
    return False


def get_autocast_dtype(device_type: str) -> mx.Dtype:
    """The dtype that autocast casts to, bfloat16 if it is off."""
    return _precision.autocast_dtype() or mx.bfloat16


def get_autocast_gpu_dtype() -> mx.Dtype:
    """``get_autocast_dtype`` of the GPU."""
    return get_autocast_dtype("gpu")


def clear_autocast_cache() -> None:
    """Has no effect: autocast caches nothing."""


def is_autocast_cache_enabled() -> bool:
    """False: autocast caches nothing."""
    return False


def compiled_with_cxx11_abi() -> bool:
    """True, as PyTorch's wheels say."""
    return True


def _sample_dirichlet(input: Tensor, generator: Any = None) -> Tensor:
    """Samples of the Dirichlet distributions whose parameters are the last dimension of ``input``."""
    return Dirichlet(input).sample()


def _check(cond: Any, message: Any = None) -> None:
    """Raise RuntimeError with what ``message()`` says unless ``cond`` is true."""
    if not cond:
        raise RuntimeError("expected cond to be true" if message is None else message())


def _assert(condition: Any, message: str) -> None:
    """Raise AssertionError with ``message`` unless ``condition`` is true."""
    if not condition:
        raise AssertionError(message)
