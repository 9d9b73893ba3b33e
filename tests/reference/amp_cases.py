"""Operations whose result dtype under bfloat16 autocast PyTorch and Lucid are compared in.

``CASES`` maps a name to a call that reads the same in both libraries. Its arguments are the library, one float32 and
one bfloat16 tensor (4, 4), positive, and float32 images (1, 4, 6, 6) with weights (4, 4, 3, 3).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "amp_dtypes.json"

CASES: dict[str, Callable[..., Any]] = {
    "linear": lambda lib, x, h, image, w: lib.nn.functional.linear(x, x, x[0]),
    "linear of bfloat16 and float32": lambda lib, x, h, image, w: lib.nn.functional.linear(h, x, x[0]),
    "matmul": lambda lib, x, h, image, w: x @ x,
    "matmul of bfloat16 and float32": lambda lib, x, h, image, w: h @ x,
    "mm": lambda lib, x, h, image, w: lib.mm(x, h),
    "bmm": lambda lib, x, h, image, w: lib.bmm(image[0], image[0]),
    "addmm": lambda lib, x, h, image, w: lib.addmm(x, x, x),
    "baddbmm": lambda lib, x, h, image, w: lib.baddbmm(image[0], image[0], image[0]),
    "einsum": lambda lib, x, h, image, w: lib.einsum("ij,kj->ik", x, x),
    "tensordot": lambda lib, x, h, image, w: lib.tensordot(x, x, 1),
    "inner": lambda lib, x, h, image, w: lib.inner(x, x),
    "mv": lambda lib, x, h, image, w: lib.mv(x, x[0]),
    "dot": lambda lib, x, h, image, w: lib.dot(x[0], x[0]),
    "outer": lambda lib, x, h, image, w: lib.outer(x[0], x[0]),
    "conv1d": lambda lib, x, h, image, w: lib.nn.functional.conv1d(image[:, :, 0], w[:, :, 0]),
    "conv2d": lambda lib, x, h, image, w: lib.nn.functional.conv2d(image, w),
    "depthwise conv2d": lambda lib, x, h, image, w: lib.nn.functional.conv2d(image, w[:, :1], groups=4),
    "conv_transpose2d": lambda lib, x, h, image, w: lib.nn.functional.conv_transpose2d(image, w),
    "layer_norm": lambda lib, x, h, image, w: lib.nn.functional.layer_norm(h, (4,)),
    "layer_norm with float32 weight": lambda lib, x, h, image, w: lib.nn.functional.layer_norm(h, (4,), x[0], x[0]),
    "group_norm": lambda lib, x, h, image, w: lib.nn.functional.group_norm(h, 2),
    "softmax": lambda lib, x, h, image, w: lib.softmax(h, dim=1),
    "log_softmax": lambda lib, x, h, image, w: lib.log_softmax(h, dim=1),
    "cross_entropy": lambda lib, x, h, image, w: lib.nn.functional.cross_entropy(h, lib.tensor([0, 1, 2, 3])),
    "nll_loss": lambda lib, x, h, image, w: lib.nn.functional.nll_loss(h, lib.tensor([0, 1, 2, 3])),
    "mse_loss": lambda lib, x, h, image, w: lib.nn.functional.mse_loss(h, x),
    "l1_loss": lambda lib, x, h, image, w: lib.nn.functional.l1_loss(h, h),
    "binary_cross_entropy_with_logits": lambda lib, x, h, image, w: lib.nn.functional.binary_cross_entropy_with_logits(
        h, h
    ),
    "sum": lambda lib, x, h, image, w: h.sum(),
    "sum with a dtype": lambda lib, x, h, image, w: h.sum(dtype=lib.bfloat16),
    "mean": lambda lib, x, h, image, w: h.mean(),
    "prod": lambda lib, x, h, image, w: h.prod(),
    "var": lambda lib, x, h, image, w: h.var(),
    "cumsum": lambda lib, x, h, image, w: h.cumsum(0),
    "cumprod": lambda lib, x, h, image, w: h.cumprod(0),
    "trace": lambda lib, x, h, image, w: lib.trace(h),
    "norm": lambda lib, x, h, image, w: lib.linalg.norm(h),
    "logsumexp": lambda lib, x, h, image, w: lib.logsumexp(h, 1),
    "max": lambda lib, x, h, image, w: h.max(),
    "exp": lambda lib, x, h, image, w: h.exp(),
    "log": lambda lib, x, h, image, w: h.log(),
    "pow": lambda lib, x, h, image, w: h**2,
    "rsqrt": lambda lib, x, h, image, w: h.rsqrt(),
    "sqrt": lambda lib, x, h, image, w: h.sqrt(),
    "sigmoid": lambda lib, x, h, image, w: h.sigmoid(),
    "tanh": lambda lib, x, h, image, w: h.tanh(),
    "gelu": lambda lib, x, h, image, w: lib.nn.functional.gelu(h),
    "relu": lambda lib, x, h, image, w: lib.relu(h),
    "softplus": lambda lib, x, h, image, w: lib.nn.functional.softplus(h),
    "add": lambda lib, x, h, image, w: h + h,
    "add of bfloat16 and float32": lambda lib, x, h, image, w: h + x,
    "mul by a number": lambda lib, x, h, image, w: h * 2.5,
    "mul by a float32 scalar": lambda lib, x, h, image, w: h * x[0, 0],
    "div": lambda lib, x, h, image, w: h / x,
    "cat of bfloat16 and float32": lambda lib, x, h, image, w: lib.cat([h, x]),
    "stack of bfloat16 and float32": lambda lib, x, h, image, w: lib.stack([h, x]),
    "where of bfloat16 and float32": lambda lib, x, h, image, w: lib.where(x > 1, h, x),
    "addcmul": lambda lib, x, h, image, w: lib.addcmul(x, h, h),
    "max_pool2d": lambda lib, x, h, image, w: lib.nn.functional.max_pool2d(h[None, None], 2),
    "avg_pool2d": lambda lib, x, h, image, w: lib.nn.functional.avg_pool2d(h[None, None], 2),
    "dropout": lambda lib, x, h, image, w: lib.nn.functional.dropout(h, 0.5, True),
    "embedding": lambda lib, x, h, image, w: lib.nn.functional.embedding(lib.tensor([0, 1]), x),
    "reshape": lambda lib, x, h, image, w: h.reshape(2, 8),
}


def run(lib: Any, case: str, make: Callable[[np.ndarray], Any]) -> str:
    """The dtype that ``lib`` gives for a case under its CPU's bfloat16 autocast: "float32", "bfloat16"."""
    rng = np.random.default_rng(0)
    x, image, weight = (
        make(rng.uniform(0.5, 1.5, shape).astype(np.float32)) for shape in ((4, 4), (1, 4, 6, 6), (4, 4, 3, 3))
    )
    if case in ("bmm", "baddbmm"):
        image = image[:, :, :4, :4]
    with lib.autocast("cpu", dtype=lib.bfloat16):
        return str(CASES[case](lib, x, x.to(lib.bfloat16), image, weight).dtype).rpartition(".")[2]
