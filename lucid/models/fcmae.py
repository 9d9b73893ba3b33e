"""FCMAE, the fully convolutional masked autoencoder that pre-trains ConvNeXt V2 without labels.

Source: Woo et al. 2023, ConvNeXt V2, arXiv:2301.00808; github.com/facebookresearch/ConvNeXt-V2 (``models/fcmae.py``).
Parameters have the names of the authors' code, ``encoder.``, ``proj``, ``mask_token``, ``decoder.`` and ``pred``.

Squares of the image are hidden, an encoder sees the others, and a small decoder predicts the pixels of the hidden ones:

    images -> encoder, hidden positions absent -> 1x1 conv -> mask token at hidden positions -> block -> 1x1 conv

The authors' encoder works on sparse tensors, whose convolutions compute visible positions from visible ones. Here it is
dense, and hidden positions are set to zero after each layer that could change them, which gives the same values: a sum
over visible neighbors is a sum over all of them if the others are zero. Layers that see one position at a time need no
more, and neither does GRN, whose norm over positions has nothing to add for zeros. So the statistics of GRN are those
of the visible positions of an image. In the authors' sparse code they are those of a whole batch, in their masked dense
code for JAX, which trained the published models, those of an image.
"""

from lucid import _checks, nn, random
from lucid._creation import as_tensor
from lucid._dtypes import uint32
from lucid._tensor import Tensor, tensor
from lucid.models.convnext import Block, ConvNeXt
from lucid.nn.parameter import Parameter

_TARGET_EPS = 1e-6  # added to the variance of a patch
_WEIGHT_STD = 0.02


class FCMAE(nn.Module):
    """A masked autoencoder around a ConvNeXt: loss, predicted patches and mask from images (N, C, H, W).

    The sides of the images must be multiples of ``mask_size``. In training masks are random; in evaluation mode they
    are the same at every call, so that losses can be compared.

    Args:
        encoder: A ``ConvNeXtV2``, or a ``ConvNeXt``, with any stem. Its head is removed. After training, its
            ``state_dict()`` is that of a classifier without final norm and head.
        mask_size: Side of the hidden squares in px, a multiple of the encoder's total stride (its default), which is
            ``patch_size * 2 ** (stages - 1)``, or 32 px for the usual networks. The decoder predicts patches of the
            total stride.
        mask_ratio: Part of the squares that are hidden; of 7 x 7 squares 0.6 leaves 19.
        decoder_dim: Width of the decoder.
        decoder_depth: Number of its blocks.
        normalize_targets: Predict pixels normalized by the mean and the standard deviation of their patch.

    Raises:
        TypeError: ``encoder`` is not a ``ConvNeXt``.
        ValueError: An option is out of range, or ``encoder`` was built with a smaller ``output_stride``.

    Example:
        >>> encoder = models.ConvNeXtV2(0, depths=[1, 1], dims=[16, 32], patch_size=2)
        >>> model = models.FCMAE(encoder, decoder_dim=64)
        >>> images = lucid.rand(2, 3, 32, 32)
        >>> loss, prediction, mask = model(images)
        >>> loss.shape, prediction.shape, mask.shape
        ((), (2, 48, 8, 8), (2, 8, 8))
        >>> model.reconstruct(images, prediction, mask).shape
        (2, 3, 32, 32)
    """

    def __init__(
        self, encoder: ConvNeXt, *, mask_size: int | None = None, mask_ratio: float = 0.6, decoder_dim: int = 512,
        decoder_depth: int = 1, normalize_targets: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if not isinstance(encoder, ConvNeXt):
            raise TypeError(f"FCMAE: encoder must be a ConvNeXt or ConvNeXtV2, got {type(encoder).__name__}")
        self.stride: int = encoder.feature_info[-1]["reduction"]  # and the side of a predicted patch, in px
        if self.stride != encoder.patch_size * 2 ** (len(encoder.dims) - 1):
            raise ValueError(
                f"FCMAE: encoder must not have an output_stride that replaces strides, got {encoder.output_stride}"
            )
        self.mask_size = self.stride if mask_size is None else _checks.integer("FCMAE", "mask_size", mask_size, 1)
        if self.mask_size % self.stride:
            raise ValueError(
                f"FCMAE: mask_size must be a multiple of the total stride of the encoder, {self.stride} px, "
                f"got {mask_size}"
            )
        self.mask_ratio = _checks.probability("FCMAE", "mask_ratio", mask_ratio)
        self.normalize_targets = normalize_targets
        values = self.stride**2 * encoder.in_chans
        if normalize_targets and values < 2:
            raise ValueError("FCMAE: normalize_targets needs patches of at least 2 values, got patches of 1 gray pixel")
        dim = _checks.integer("FCMAE", "decoder_dim", decoder_dim, 1)
        depth = _checks.integer("FCMAE", "decoder_depth", decoder_depth, 0)
        pool = encoder.global_pool
        encoder.prune_intermediate_layers(1)  # the head, not a layer
        encoder.global_pool = pool  # of a classifier that goes on from the weights
        self.encoder = encoder
        self.proj = nn.Conv2d(encoder.num_features, dim, 1, data_format="channels_last")
        self.mask_token = Parameter(random.randn(1, dim, 1, 1) * _WEIGHT_STD)
        self.decoder = nn.Sequential(*(Block(dim, layer_scale_init=0.0, grn=True) for _ in range(depth)))
        self.pred = nn.Conv2d(dim, values, 1, data_format="channels_last")
        for part in (self.proj, self.decoder, self.pred):
            part.apply(_init_weights)

    def forward(self, images: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, a scalar; the predicted patches; the mask.

        Args:
            images: (N, C, H, W), normalized.
            mask: (N, H / mask_size, W / mask_size), 1 where the square is hidden and 0 where it is visible. By default
                ``random_mask``.

        Returns:
            The mean squared error over the hidden patches, the prediction (N, stride * stride * C, H / stride,
            W / stride) as ``patchify`` orders it, and the mask.

        Raises:
            ValueError: The size of the images is not a multiple of ``mask_size``, or the mask has another shape.
        """
        images = as_tensor(images)
        mask = self._mask_for(images, mask)
        x = self._encode(images, mask)
        hidden = _enlarged(mask, self.mask_size // self.stride)  # (N, H', W', 1)
        x = self.proj(x)
        hidden = hidden.to(x.dtype)
        x = x * (1 - hidden) + self.mask_token.reshape(1, 1, 1, -1).to(x.dtype) * hidden
        x = self.pred(self.decoder(x))  # (N, H', W', stride * stride * C)
        return self._loss(images, x, hidden.squeeze(-1)), x.permute(0, 3, 1, 2), mask

    def encode(self, images: Tensor, mask: Tensor) -> Tensor:
        """The features (N, num_features, H / stride, W / stride) of what ``mask`` leaves visible; zeros elsewhere."""
        images = as_tensor(images)
        return self._encode(images, self._mask_for(images, mask)).permute(0, 3, 1, 2)

    def _encode(self, images: Tensor, mask: Tensor) -> Tensor:
        visible = 1 - mask
        size = self.mask_size  # of a square of the mask, in positions of the map
        seen = _enlarged(visible, size)  # (N, H, W, 1)
        x = _only(seen, images.permute(0, 2, 3, 1))
        for before, blocks in zip(self.encoder.downsample_layers, self.encoder.stages, strict=True):
            for layer in before:
                x = layer(x)
                if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1):
                    size //= layer.stride[0]
                    seen = _enlarged(visible, size)
                x = _only(seen, x)
            for block in blocks:
                x = _masked_block(block, x, seen)
        return x

    def _loss(self, images: Tensor, prediction: Tensor, hidden: Tensor) -> Tensor:
        """The mean over patches where ``hidden`` (N, H', W') is 1."""
        target = self._patches(images.float())
        if self.normalize_targets:
            mean, std = _statistics(target)
            target = (target - mean) / std
        error = ((prediction.float() - target) ** 2).mean(dim=-1)
        hidden = hidden.float()
        return (error * hidden).sum() / hidden.sum().clamp(min=1)

    # Masks -----------------------------------------------------------------------------------------------------------

    def random_mask(self, images: Tensor) -> Tensor:
        """A mask for ``images`` that hides equally many squares of each, see ``forward``.

        Of L squares, the integer part of L * (1 - mask_ratio) remain visible.

        Raises:
            ValueError: No square would be hidden, or none would be visible.
        """
        count, rows, columns = images.shape[0], *self._grid(images)
        squares = rows * columns
        kept = int(round(squares * (1 - self.mask_ratio), 6))  # 1 - 0.8 is less than 0.2, of 25 squares 5 remain
        if not 0 < kept < squares:
            raise ValueError(
                f"FCMAE: mask_ratio {self.mask_ratio:g} leaves {kept} of {squares} squares of {self.mask_size} px "
                f"visible in images of {images.shape[2]}x{images.shape[3]} px, expected at least 1 visible and 1 hidden"
            )
        if self.training:
            noise = random.rand(count, squares)
        else:
            with random.fork(tensor([0, 0], dtype=uint32)):
                noise = random.rand(count, squares)
        rank = noise.argsort(dim=1).argsort(dim=1)
        return (rank >= kept).float().reshape(count, rows, columns)

    def _grid(self, images: Tensor) -> tuple[int, int]:
        """How many squares of the mask images have in a column and in a row."""
        self.encoder._check_images(images)
        height, width = images.shape[2:]
        if height % self.mask_size or width % self.mask_size:
            raise ValueError(
                f"FCMAE: the sides of the images must be multiples of mask_size, {self.mask_size} px, "
                f"got {height}x{width}"
            )
        return height // self.mask_size, width // self.mask_size

    def _mask_for(self, images: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return self.random_mask(images)
        mask, wanted = as_tensor(mask), (images.shape[0], *self._grid(images))
        if mask.shape != wanted:
            raise ValueError(f"FCMAE: mask must have shape {wanted}, one value for each square, got {mask.shape}")
        return mask.float()

    # Patches ---------------------------------------------------------------------------------------------------------

    def patchify(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) as patches (N, stride * stride * C, H / stride, W / stride).

        The values of a patch are ordered by row, column and channel, as in the authors' code.
        """
        return self._patches(as_tensor(images)).permute(0, 3, 1, 2)

    def _patches(self, images: Tensor) -> Tensor:
        n, c, height, width = images.shape
        p = self.stride
        x = images.reshape(n, c, height // p, p, width // p, p).permute(0, 2, 4, 3, 5, 1)  # (N, H', W', p, p, C)
        return x.reshape(n, height // p, width // p, p * p * c)

    def unpatchify(self, patches: Tensor) -> Tensor:
        """The inverse of ``patchify``."""
        patches = as_tensor(patches)
        n, _, rows, columns = patches.shape
        p, c = self.stride, self.encoder.in_chans
        x = patches.permute(0, 2, 3, 1).reshape(n, rows, columns, p, p, c).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(n, c, rows * p, columns * p)

    def hide(self, images: Tensor, mask: Tensor, value: float = 0.0) -> Tensor:
        """``images`` with ``value`` in the hidden squares."""
        images = as_tensor(images)
        hidden = _enlarged(self._mask_for(images, mask), self.mask_size).permute(0, 3, 1, 2)
        return images * (1 - hidden) + value * hidden

    def reconstruct(self, images: Tensor, prediction: Tensor, mask: Tensor) -> Tensor:
        """``images`` with what was predicted for the hidden squares.

        With ``normalize_targets`` only the pattern of a patch is predicted; its brightness and contrast are those of
        ``images``.
        """
        images = as_tensor(images)
        patches, shown = self._patches(images.float()), prediction.permute(0, 2, 3, 1).float()
        if self.normalize_targets:
            mean, std = _statistics(patches)
            shown = shown * std + mean
        hidden = _enlarged(self._mask_for(images, mask), self.mask_size // self.stride)
        return self.unpatchify((patches * (1 - hidden) + shown * hidden).permute(0, 3, 1, 2))

    def extra_repr(self) -> str:
        return f"mask_size={self.mask_size}, mask_ratio={self.mask_ratio:g}"


def _masked_block(block: Block, x: Tensor, seen: Tensor) -> Tensor:
    """``block`` on the positions of x (N, H, W, C) where ``seen`` is 1, with zeros elsewhere before and after."""
    y = block.norm(_only(seen, block.dwconv(x)))
    y = block.act(block.pwconv1(y))
    if block.grn is not None:
        y = block.grn(_only(seen, y))
    y = block.pwconv2(y)
    if block.gamma is not None:
        y = block.gamma * y
    return x + block.drop_path(_only(seen, y))


def _enlarged(mask: Tensor, size: int) -> Tensor:
    """A mask (N, h, w) with ``size`` x ``size`` positions for each value: (N, h * size, w * size, 1)."""
    n, rows, columns = mask.shape
    wide = mask.reshape(n, rows, 1, columns, 1).expand(n, rows, size, columns, size)
    return wide.reshape(n, rows * size, columns * size, 1)


def _only(seen: Tensor, x: Tensor) -> Tensor:
    return x * seen.to(x.dtype)


def _statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each patch."""
    return patches.mean(dim=-1, keepdim=True), (patches.var(dim=-1, keepdim=True) + _TARGET_EPS) ** 0.5


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_WEIGHT_STD)
        nn.init.zeros_(module.bias)
