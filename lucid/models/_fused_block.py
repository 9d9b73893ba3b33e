"""A ConvNeXt block in fewer passes over memory: the same function of the same parameters.

On a GPU a block is bound by memory traffic. In units of one pass over its map (N, H, W, C), this saves in training

- 1 in 3 of the layer norm: its scale and shift become part of the first Linear, ``W1 * norm.weight`` and
  ``b1 + W1 @ norm.bias``, so that their gradients come from those of these small arrays;
- 6 of the layer scale, in the same way: ``gamma * W2`` and ``gamma * b2``; the map before it is not kept either;
- 4 of the bias of the first Linear, whose gradient is summed where GELU's is computed (``lucid/kernels/biased_gelu``);
- 4 of the shortcut, which the second matrix product adds, and whose gradient is where the sums of the depthwise
  convolution's gradient start;
- 1 of the bias of the second Linear, a row of its weights that a column of GELU's result multiplies;
- all of drop path, a factor of each image that GELU multiplies by;
- in V2, 12 of the normalization on maps of many positions: its scale multiplies the weights of the second Linear, for
  each image, instead of the map.

On the CPU, where a layer norm's gradient is one pass anyway, only the layer scale is folded. docs/traffic.md counts all
of it. Folding costs passes over the weights, so it is done for maps with many more positions than channels only. Layers
are called one by one (``Block.forward``) if that can be told apart: with hooks on them, or if one was replaced.
"""

from typing import TYPE_CHECKING, Any

import mlx.core as mx

from lucid import _grad_mode, _precision, nn, random, tape
from lucid._tensor import Tensor
from lucid.kernels import biased_gelu as gelu_kernel
from lucid.kernels.choice import reference_is_forced
from lucid.nn import functional as F
from lucid.ops import _block
from lucid.ops.affine import linear
from lucid.ops.stochastic import random_mask

if TYPE_CHECKING:
    from lucid.models.convnext import Block

_CLASSES: dict[str, type[nn.Module]] = {
    "dwconv": nn.Conv2d,
    "norm": nn.LayerNorm,
    "pwconv1": nn.Linear,
    "act": nn.GELU,
    "pwconv2": nn.Linear,
}
# Positions of the map per channel from which on folding saves more than its passes over the weights cost.
_POSITIONS_FOR_SHORTCUT = 3
_POSITIONS_FOR_SCALE = 6
_POSITIONS_FOR_NORM = 16
# The same for the positions of an image, and second weights for each image.
_POSITIONS_FOR_IMAGE_WEIGHTS = 2


def can_fuse(block: "Block") -> bool:
    """Whether the layers are those that the constructor made, and nobody watches or replaces what they compute."""
    if reference_is_forced():
        return False
    children: Any = block._modules
    grn: Any = block.grn
    if grn is not None and not _is_plain(grn, block.grn_class):
        return False
    for name, kind in _CLASSES.items():
        child: Any = children.get(name)
        if not _is_plain(child, kind):
            return False
        own = child._parameters
        if kind is not nn.GELU and (own.get("weight") is None or own.get("bias") is None):
            return False
    drop_path: Any = children.get("drop_path")
    if not (_is_plain(drop_path, nn.DropPath) or _is_plain(drop_path, nn.Identity)):
        return False
    gamma: Any = block.gamma
    return (gamma is None or gamma.ndim == 1) and block.act.approximate == "none"


def _is_plain(layer: Any, kind: type[nn.Module]) -> bool:
    """Whether calling the layer is calling ``kind.forward``: no subclass, no hooks, no ``forward`` of its own."""
    return type(layer) is kind and not (
        layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or "forward" in layer.__dict__
    )


def forward(block: "Block", x: Tensor) -> Tensor:
    """``Block.forward`` for a block that ``can_fuse``."""
    channels = x.shape[-1]
    positions = x._array.size // max(channels, 1)
    y, x = _depthwise(block.dwconv, x)

    norm = block.norm
    weight: Tensor = block.pwconv1.weight
    bias: Tensor | None = block.pwconv1.bias
    trains = _grad_mode.is_recording()
    on_gpu = gelu_kernel.implementation(y._array, weight._array) != "reference"
    if trains and on_gpu and positions >= _POSITIONS_FOR_NORM * channels:
        with _precision.autocasting(None):  # computed in float32 in any case, and rounded to the dtype of y
            y = F.layer_norm(y, norm.normalized_shape, None, None, norm.eps)
            weight, bias = weight * norm.weight, bias + weight @ norm.bias
    else:
        y = norm(y)
    factor = _drop_path_factor(block.drop_path, x.shape[0]) if on_gpu else None
    gamma: Tensor | None = block.gamma
    folds = (
        trains
        and positions >= (_POSITIONS_FOR_SHORTCUT if gamma is None else _POSITIONS_FOR_SCALE) * channels
        and (gamma is None or y._array.dtype != mx.float16)  # which has no room for W2 * 1e-6
    )
    if on_gpu and folds:
        return _add_branch(block, x, linear(y, weight), bias, factor)
    if not on_gpu:
        y = block.act(linear(y, weight, bias))
        y = y if block.grn is None else block.grn(y)
    elif block.grn is None:
        y = _block.biased_gelu(linear(y, weight), bias, factor)
    else:
        y = _gelu_grn(block.grn, linear(y, weight), bias, factor)

    weight, bias = block.pwconv2.weight, block.pwconv2.bias
    if folds and gamma is not None:
        with _precision.autocasting(None):
            weight, bias = weight * gamma.unsqueeze(1), bias * gamma
    y = linear(y, weight) if factor is not None else linear(y, weight, bias)
    if gamma is not None:
        if not folds:
            y, bias = gamma * y, gamma * bias
        elif y._array.dtype != gamma._array.dtype:  # under autocast: as gamma * y
            y = y.to(mx.result_type(y._array, gamma._array))
    if factor is None:
        return x + block.drop_path(y)
    return _block.add_branch(x, y, tape.wrap(factor.reshape(-1, 1, 1, 1)) * bias)


def _add_branch(block: "Block", x: Tensor, h: Tensor, bias: Any, factor: mx.array | None) -> Tensor:
    """``x`` plus all that follows the first product, ``h``. The second product adds x, its bias and the scales."""
    second, grn, gamma = block.pwconv2, block.grn, block.gamma
    with _precision.autocasting(None):
        columns = gelu_kernel.padding(h._array.dtype)
        if grn is None:
            y = _block.biased_gelu(h, bias, factor, True)
            weight = _block.with_bias_row(second.weight, second.bias, columns)
            if gamma is not None:
                weight = weight * gamma
                x = x.to(mx.result_type(x._array, mx.result_type(h._array, gamma._array)))
        elif h.shape[1] * h.shape[2] >= _POSITIONS_FOR_IMAGE_WEIGHTS * x.shape[-1]:
            with _grad_mode.set_recording(False):
                y, squares = _block.gelu_and_square_sums(h, bias)
            shift = second.bias + second.weight @ grn.beta.reshape(-1)
            weight = _block.with_bias_row(second.weight, shift, columns)
            return _block.grn_product(x, h, bias, y, squares, grn.gamma, weight, factor)
        else:
            y = _gelu_grn(grn, h, bias, factor, True)
            weight = _block.with_bias_row(second.weight, second.bias, columns)
        return _block.add_product(x, y, weight)


def _depthwise(conv: nn.Conv2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """The convolution, and x, of which the gradients can be added in one pass."""
    own: Any = conv._parameters
    weight, bias = own["weight"], own["bias"]
    plain = conv.groups == weight.shape[0] == x.shape[-1] and conv.stride == (1, 1)
    same = x._array.dtype == weight._array.dtype == bias._array.dtype and _precision.autocast_dtype() is None
    plain = plain and conv.data_format == "channels_last" and conv.padding_mode == "zeros"
    if not (plain and same and x.ndim == 4 and x._array.size):
        return conv(x), x
    y, x = _block.conv2d_and_input(x, weight, bias, conv.padding, conv.dilation)
    return y, x


def _gelu_grn(grn: Any, h: Tensor, bias: Any, factor: mx.array | None, padded: bool = False) -> Tensor:
    """The norm of ``gelu(h + bias)``, computed in float32 and rounded to the dtype of ``h``, under autocast too."""
    with _grad_mode.set_recording(False):
        squares = _block.gelu_square_sums(h, bias)
    return _block.gelu_grn(h, bias, squares, grn.gamma, grn.beta, factor, padded)


def _drop_path_factor(layer: Any, images: int) -> mx.array | None:
    """What drop path multiplies each image by, (N,), or None for nothing; by the random numbers of ``F.drop_path``."""
    if not layer.training or type(layer) is nn.Identity or not 0 < layer.drop_prob < 1:
        return None
    return random_mask(layer.drop_prob, (images, 1, 1, 1), random.key(), layer.scale_by_keep).reshape(images)
