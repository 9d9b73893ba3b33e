"""The depthwise convolution in float64 NumPy, its gradients, and random arguments for it."""

import mlx.core as mx
import numpy as np

from tests.kernels.formulas import float64

TOLERANCE = {mx.float32: 2e-5, mx.float16: 2e-3, mx.bfloat16: 1.6e-2}


def pairs(value):
    return value if isinstance(value, tuple) else (value, value)


def slices_per_tap(x, weight, stride, padding, dilation):
    """Padded x, for every kernel position (i, j) the slice of x that is multiplied with it, and the output shape."""
    (sh, sw), (dh, dw) = pairs(stride), pairs(dilation)
    rows, columns = (pairs(one) for one in pairs(padding))
    padded = np.pad(x, ((0, 0), rows, columns, (0, 0)))
    kh, kw = weight.shape[2:]
    oh, ow = (padded.shape[1] - dh * (kh - 1) - 1) // sh + 1, (padded.shape[2] - dw * (kw - 1) - 1) // sw + 1
    spans = {
        (i, j): (
            slice(None),
            slice(i * dh, i * dh + sh * (oh - 1) + 1, sh),
            slice(j * dw, j * dw + sw * (ow - 1) + 1, sw),
        )
        for i in range(kh)
        for j in range(kw)
    }
    return padded, spans, (x.shape[0], oh, ow, x.shape[3])


def expected(x, weight, bias, stride, padding, dilation):
    padded, spans, _ = slices_per_tap(x, weight, stride, padding, dilation)
    return sum(padded[spans[i, j]] * weight[:, 0, i, j] for i, j in spans) + bias


def expected_gradients(x, weight, gradient, stride, padding, dilation):
    padded, spans, _ = slices_per_tap(x, weight, stride, padding, dilation)
    (top, _), (left, _) = (pairs(one) for one in pairs(padding))
    d_padded, d_weight = np.zeros_like(padded), np.zeros_like(weight)
    for (i, j), span in spans.items():
        d_padded[span] += gradient * weight[:, 0, i, j]
        d_weight[:, 0, i, j] = (padded[span] * gradient).sum((0, 1, 2))
    return d_padded[:, top : top + x.shape[1], left : left + x.shape[2]], d_weight, gradient.sum((0, 1, 2))


def relative_error(got, wanted):
    assert tuple(got.shape) == wanted.shape
    return np.abs(float64(got) - wanted).max() / (np.abs(wanted).max() or 1)


def arrays(shape, kernel, dtype, stride=1, padding=0, dilation=1):
    channels = shape[3]
    x, weight, bias = (mx.random.normal(s).astype(dtype) for s in (shape, (channels, 1, *kernel), (channels,)))
    out = slices_per_tap(float64(x), float64(weight), stride, padding, dilation)[2]
    return x, weight, bias, mx.random.normal(out).astype(dtype)
