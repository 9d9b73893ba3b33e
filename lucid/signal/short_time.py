"""Short-time Fourier transforms."""

import math
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks
from lucid._checks import flag
from lucid.ops._common import array
from lucid.ops._types import TensorLike
from lucid.tape import op

_PADDING = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _window(caller: str, window: Any, n_fft: int, win_length: Any) -> mx.array:
    """The window (n_fft,), with zeros on both sides if it is shorter."""
    length = n_fft if win_length is None else _checks.integer(caller, "win_length", win_length)
    if not 0 < length <= n_fft:
        raise _checks.ArgumentError(f"{caller}: win_length must be in [1, {n_fft}], got {length}")
    found = mx.ones(length) if window is None else array(caller, window, "window")
    if found.shape != (length,):
        raise _checks.ArgumentError(f"{caller}: window must have shape ({length},), got {found.shape}")
    left = (n_fft - length) // 2
    return mx.pad(found, [(left, n_fft - length - left)]) if length < n_fft else found


def _hop(caller: str, hop_length: Any, n_fft: int) -> int:
    return n_fft // 4 if hop_length is None else _checks.integer(caller, "hop_length", hop_length, 1)


@op(autocast="float32")
def stft(
    input: TensorLike,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: TensorLike = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> mx.array:
    """The Fourier transforms of overlapping parts of a signal.

    Shapes: input (T) or (N, T), out (..., n_fft // 2 + 1, frames), or (..., n_fft, frames) with ``onesided=False``;
    complex64, or with a last dimension of 2 if ``return_complex`` is False.

    Args:
        hop_length: The distance of two parts, by default ``n_fft // 4``.
        window: What the parts are multiplied by, of ``win_length`` numbers, by default ones.
        center: Whether the signal is padded on both sides, so that the first part is centered on its first sample.
        normalized: Whether to divide by the square root of ``n_fft``.
        onesided: Whether to leave out the second half, which the first determines if everything is real; the default
            then.

    Raises:
        ArgumentError: a size is out of range, or ``return_complex`` is missing for a real signal.
    """
    x = array("stft", input)
    if x.dtype not in (mx.float32, mx.float64, mx.complex64):
        raise _checks.DtypeError(f"stft: input must be float32 or complex64, got {_checks.dtype_name(x.dtype)}")
    _checks.rank("stft", "input", x.shape, (1, 2))
    n_fft = _checks.integer("stft", "n_fft", n_fft, 1)
    hop, shape = _hop("stft", hop_length, n_fft), _window("stft", window, n_fft, win_length)
    is_complex = mx.complex64 in (x.dtype, shape.dtype)
    if return_complex is None and not is_complex:
        raise _checks.ArgumentError("stft: return_complex must be given for real signals")
    one = not is_complex if onesided is None else flag("stft", "onesided", onesided)
    if one and is_complex:
        raise _checks.ArgumentError("stft: onesided=True needs a real signal and a real window")
    if align_to_window is not None and center:
        raise _checks.ArgumentError("stft: align_to_window only has a meaning with center=False")
    x = x.astype(mx.complex64 if is_complex else mx.float32)
    if center:
        x = _padded(x, n_fft // 2, pad_mode)
    length = x.shape[-1]
    if align_to_window and win_length is not None:
        left = (n_fft - win_length) // 2
        x = mx.pad(x, [(0, 0)] * (x.ndim - 1) + [(left, n_fft - win_length - left)])
        length = x.shape[-1]
    if n_fft > length:
        raise _checks.ArgumentError(f"stft: n_fft must be at most {length}, the length of the signal, got {n_fft}")
    starts = mx.arange(1 + (length - n_fft) // hop)[:, None] * hop
    parts = mx.take(x, starts + mx.arange(n_fft), -1) * shape  # (..., frames, n_fft)
    found = mx.fft.rfft(parts) if one else mx.fft.fft(parts.astype(mx.complex64))
    found = mx.swapaxes(found, -2, -1)
    if flag("stft", "normalized", normalized):
        found = found * (1 / math.sqrt(n_fft))
    if return_complex is False:
        return mx.stack([mx.real(found), mx.imag(found)], -1)
    return found


def _padded(x: mx.array, width: int, mode: Any) -> mx.array:
    kind = _PADDING[_checks.one_of("stft", "pad_mode", mode, tuple(_PADDING))]
    length = x.shape[-1]
    limit = length - 1 if kind == "reflect" else length if kind == "wrap" else None
    if limit is not None and width > limit:
        raise _checks.ArgumentError(f"stft: {width} samples of {mode} padding need a longer signal than {length}")
    if kind == "constant":
        return mx.pad(x, [(0, 0)] * (x.ndim - 1) + [(width, width)])
    positions = np.pad(np.arange(length), width, kind)  # type: ignore[call-overload]
    return mx.take(x, mx.array(positions.astype(np.int32)), -1)


@op(autocast="float32")
def istft(
    input: TensorLike,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: TensorLike = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> mx.array:
    """The signal of which ``input`` is the ``stft``: the sum of the inverse transforms of the parts, times the window.

    Shapes: input (n_fft // 2 + 1, frames) or (N, n_fft // 2 + 1, frames), or with n_fft in place of n_fft // 2 + 1, out
    (T) or (N, T).

    Args:
        length: The number of samples to return.
        return_complex: Whether the signal is complex.

    Raises:
        ArgumentError: a size is out of range, or the window is 0 where it is needed.
    """
    x = array("istft", input)
    if x.dtype != mx.complex64:
        raise _checks.DtypeError(f"istft: input must be complex64, got {_checks.dtype_name(x.dtype)}")
    _checks.rank("istft", "input", x.shape, (2, 3))
    n_fft = _checks.integer("istft", "n_fft", n_fft, 1)
    hop, shape = _hop("istft", hop_length, n_fft), _window("istft", window, n_fft, win_length)
    is_complex = flag("istft", "return_complex", return_complex)
    bins = x.shape[-2]
    one = bins != n_fft if onesided is None else flag("istft", "onesided", onesided)
    wanted = n_fft // 2 + 1 if one else n_fft
    if bins != wanted:
        raise _checks.ArgumentError(f"istft: dim -2 of input must have size {wanted} for n_fft={n_fft}, got {bins}")
    if is_complex and one:
        raise _checks.ArgumentError("istft: a complex signal needs onesided=False")
    if not x.size:
        raise _checks.ArgumentError(f"istft: input must not be empty, got shape {x.shape}")
    x = mx.swapaxes(x, -2, -1)  # (..., frames, bins)
    if flag("istft", "normalized", normalized):
        x = x * math.sqrt(n_fft)
    parts = mx.fft.ifft(x) if is_complex else mx.fft.irfft(x[..., : n_fft // 2 + 1], n=n_fft)
    frames = parts.shape[-2]
    total = n_fft + hop * (frames - 1)
    signal = _overlapped(parts * shape, hop, total)
    weight = _overlapped(mx.broadcast_to(mx.square(shape), (frames, n_fft)), hop, total)
    start = n_fft // 2 if flag("istft", "center", center) else 0
    end = total - start if length is None else start + _checks.integer("istft", "length", length, 1)
    signal, weight = signal[..., start:end], weight[start:end]
    none = mx.abs(weight) < 1e-11
    if _bounds.first_value("istft", none, lambda values: values) is not None:
        raise _checks.ArgumentError("istft: the sum of the squared windows is 0 somewhere in the signal")
    signal = signal / mx.where(none, 1, weight)
    missing = end - start - signal.shape[-1]
    return mx.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(0, missing)]) if missing > 0 else signal


def _overlapped(parts: mx.array, hop: int, total: int) -> mx.array:
    """The sum of parts (..., frames, n), each of which begins ``hop`` after the one before."""
    frames, n = parts.shape[-2:]
    where = (mx.arange(frames)[:, None] * hop + mx.arange(n)).reshape(-1)
    empty = mx.zeros((total, *parts.shape[:-2]), parts.dtype)
    rows = mx.moveaxis(parts.reshape(*parts.shape[:-2], frames * n), -1, 0)
    return mx.moveaxis(empty.at[where].add(rows), 0, -1)
