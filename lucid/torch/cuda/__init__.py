"""``torch.cuda``: truthful about this machine, and callable on every machine.

``is_available()`` is True with an NVIDIA GPU and MLX's CUDA backend. What waits, frees memory or measures it works on
any device, because programs call it without asking; what is specific to CUDA raises an error with a reason.
"""

from __future__ import annotations

import contextlib
import time
from types import SimpleNamespace
from typing import Any

import mlx.core as mx

from lucid import _checks, _device
from lucid import memory as _memory
from lucid import random as _random
from lucid._device import device as device_type
from lucid._tensor import Tensor
from lucid._typed_tensors import (
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from lucid.torch.cuda import amp as amp

_NO_GPU = "there is no NVIDIA GPU, or MLX's CUDA backend is not installed; torch.accelerator and torch.device('mps') \
are for other GPUs"


class OutOfMemoryError(RuntimeError):
    """An allocation failed. MLX raises a RuntimeError for it, so this is only here to be named."""


def is_available() -> bool:
    """Whether operations can run on an NVIDIA GPU."""
    return _device.is_available("cuda")


def is_initialized() -> bool:
    """Whether CUDA is in use."""
    return is_available()


def init() -> None:
    """Has no effect."""


def device_count() -> int:
    """1 with an NVIDIA GPU: MLX uses one GPU in a process. Otherwise 0."""
    return int(is_available())


def current_device() -> int:
    """0, the only one.

    Raises:
        RuntimeError: there is none.
    """
    _require("current_device")
    return 0


def set_device(device: Any) -> None:
    """Checks that ``device`` is the one that there is; a negative number is ignored, as in PyTorch."""
    if isinstance(device, int) and device < 0:
        return
    _device.resolve("set_device", f"cuda:{device}" if isinstance(device, int) else device)


class device(contextlib.AbstractContextManager):
    """``with torch.cuda.device(0):`` computes on the GPU."""

    def __init__(self, device: Any) -> None:
        self._ignored = device is None or (isinstance(device, int) and device < 0)
        self._device = None if self._ignored else device_type(f"cuda:{device}" if isinstance(device, int) else device)

    def __enter__(self) -> None:
        if self._device is not None:
            self._device.__enter__()

    def __exit__(self, *error: object) -> None:
        if self._device is not None:
            self._device.__exit__(*error)


def get_device_name(device: Any = None) -> str:
    """The name of the GPU."""
    _require("get_device_name")
    return str(mx.device_info().get("device_name", "GPU"))


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of the GPU, such as (9, 0)."""
    _require("get_device_capability")
    found = mx.device_info()
    return int(found.get("compute_capability_major", 0)), int(found.get("compute_capability_minor", 0))


def get_device_properties(device: Any = None) -> SimpleNamespace:
    """``name``, ``total_memory``, ``major`` and ``minor`` of the GPU."""
    major, minor = get_device_capability()
    total = int(mx.device_info().get("total_memory", 0)) or _memory.total()
    return SimpleNamespace(name=get_device_name(), total_memory=total, major=major, minor=minor)


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether there is a GPU that computes in bfloat16."""
    return is_available()


def synchronize(device: Any = None) -> None:
    """Wait until everything that was scheduled is computed, on any device."""
    mx.synchronize()


def empty_cache() -> None:
    """Return memory that is not in use to the system."""
    _memory.clear_cache()


def memory_allocated(device: Any = None) -> int:
    """Bytes in use by arrays, on any device."""
    return _memory.active()


def max_memory_allocated(device: Any = None) -> int:
    """The largest number of bytes in use since the start or ``reset_peak_memory_stats``."""
    return _memory.peak()


def memory_reserved(device: Any = None) -> int:
    """Bytes in use or kept for reuse."""
    return _memory.active() + _memory.cache()


def max_memory_reserved(device: Any = None) -> int:
    """``max_memory_allocated``: MLX does not record the peak of what it keeps."""
    return _memory.peak()


memory_cached = memory_reserved
max_memory_cached = max_memory_reserved


def reset_peak_memory_stats(device: Any = None) -> None:
    """Start to measure the peak again."""
    _memory.reset()


reset_max_memory_allocated = reset_peak_memory_stats


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes."""
    total = _memory.total()
    return max(total - memory_reserved(), 0), total


def memory_stats(device: Any = None) -> dict[str, int]:
    """The numbers of ``memory_allocated`` and ``memory_reserved`` under PyTorch's keys."""
    return {
        "allocated_bytes.all.current": _memory.active(),
        "allocated_bytes.all.peak": _memory.peak(),
        "reserved_bytes.all.current": memory_reserved(),
    }


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """``memory_stats`` as text."""
    return "\n".join(f"{name}: {value:,}" for name, value in memory_stats().items())


def manual_seed(seed: int) -> None:
    """Seed the random numbers of the GPU. Lucid has one state, so without a GPU this has no effect, as in PyTorch."""
    if is_available():
        _random.manual_seed(seed)


manual_seed_all = manual_seed


def get_rng_state(device: Any = "cuda") -> Tensor:
    """The random state, which Lucid has only one of."""
    return _random.get_state()


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Restore a state of ``get_rng_state``."""
    _random.set_state(new_state)


def get_rng_state_all() -> list[Tensor]:
    """The states of all GPUs."""
    return [get_rng_state() for _ in range(device_count())]


def set_rng_state_all(new_states: list[Tensor]) -> None:
    """Restore the states of ``get_rng_state_all``."""
    for state in new_states:
        set_rng_state(state)


def is_current_stream_capturing() -> bool:
    """False: there are no graphs to capture."""
    return False


def ipc_collect() -> None:
    """Has no effect."""


class Stream(contextlib.AbstractContextManager):
    """A stream. MLX schedules on its own, so that all streams are the same."""

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None:
        self.device, self.priority = device, priority

    def synchronize(self) -> None:
        synchronize()

    def wait_stream(self, stream: Any) -> None:
        """Has no effect: results are waited for where they are used."""

    def wait_event(self, event: Any) -> None:
        """Has no effect: results are waited for where they are used."""

    def record_event(self, event: Any = None) -> Event:
        event = Event() if event is None else event
        event.record()
        return event

    def query(self) -> bool:
        return True

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def current_stream(device: Any = None) -> Stream:
    """The stream of this thread."""
    return Stream(device)


default_stream = current_stream


def stream(stream: Stream | None) -> contextlib.AbstractContextManager[Any]:
    """A context in which nothing changes: all streams are the same."""
    return contextlib.nullcontext() if stream is None else stream


def set_stream(stream: Stream) -> None:
    """Has no effect."""


class Event:
    """A point in time at which everything that was scheduled before is computed."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._time = 0.0

    def record(self, stream: Any = None) -> None:
        synchronize()
        self._time = time.perf_counter()

    def synchronize(self) -> None:
        synchronize()

    def wait(self, stream: Any = None) -> None:
        """Has no effect: ``record`` waited."""

    def query(self) -> bool:
        return True

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds until ``end_event``."""
        return (end_event._time - self._time) * 1000


def _require(caller: str) -> None:
    if not is_available():
        raise _checks.ArgumentError(f"torch.cuda.{caller}: {_NO_GPU}")
