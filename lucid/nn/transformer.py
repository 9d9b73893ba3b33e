"""The layers of a Transformer. Source: Vaswani et al. 2017, arXiv:1706.03762."""

import copy
import math
from collections.abc import Callable
from typing import Any

import mlx.core as mx

from lucid import _checks, tape
from lucid._tensor import Tensor
from lucid.nn import init
from lucid.nn._common import parameter_dtype
from lucid.nn.containers import ModuleList
from lucid.nn.dropout import Dropout
from lucid.nn.linear import Linear
from lucid.nn.module import Module
from lucid.nn.multihead_attention import MultiheadAttention
from lucid.nn.normalization import LayerNorm
from lucid.ops.activation import gelu, relu

Activation = str | Callable[[Tensor], Tensor]


def _activation(caller: str, activation: Activation) -> Callable[[Tensor], Tensor]:
    if isinstance(activation, str):
        return relu if _checks.one_of(caller, "activation", activation, ("relu", "gelu")) == "relu" else gelu
    if not callable(activation):
        raise TypeError(f"{caller}: activation must be 'relu', 'gelu' or a function, got {activation!r:.60}")
    return activation


def _copies(caller: str, layer: Module, num_layers: int) -> ModuleList:
    if not isinstance(layer, Module):
        raise TypeError(f"{caller}: the layer must be a Module, got {type(layer).__name__}")
    count = _checks.integer(caller, "num_layers", num_layers, 0)
    return ModuleList(copy.deepcopy(layer) for _ in range(count))


class _TransformerLayer(Module):
    """What encoder and decoder layers share: attention, and a network of two linear maps."""

    def __init__(
        self, attentions: tuple[str, ...], d_model: int, nhead: int, dim_feedforward: int, dropout: float,
        activation: Activation, layer_norm_eps: float, batch_first: bool, norm_first: bool, bias: bool,
        device: object, dtype: object,
    ) -> None:  # fmt: skip
        super().__init__()
        where = type(self).__name__
        kept = parameter_dtype(where, device, dtype)
        for name in attentions:
            layer = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=kept)
            self.add_module(name, layer)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, dtype=kept)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, dtype=kept)
        self.norm_first = _checks.flag(where, "norm_first", norm_first)
        count = len(attentions) + 1
        for number in range(1, count + 1):
            self.add_module(f"norm{number}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=kept))
        for number in range(1, count + 1):
            self.add_module(f"dropout{number}", Dropout(dropout))
        self.activation = _activation(where, activation)

    def _residual(self, x: Tensor, number: int, branch: Callable[[Tensor], Tensor]) -> Tensor:
        """``x`` plus the branch, with layer norm ``number`` before the branch or after the sum."""
        norm, dropout = getattr(self, f"norm{number}"), getattr(self, f"dropout{number}")
        if self.norm_first:
            return x + dropout(branch(norm(x)))
        return norm(x + dropout(branch(x)))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention and a network of two linear maps, each with dropout, residual connection and layer norm.

    Shapes: (L, N, d_model), or (N, L, d_model) with ``batch_first``; out the same.

    Args:
        d_model: The number of features.
        nhead: The number of heads.
        dim_feedforward: The number of features between the linear maps.
        dropout: The probability of zeroing a value during training.
        activation: "relu", "gelu" or a function.
        layer_norm_eps: ``eps`` of the layer norms.
        batch_first: Whether the batch is the first dimension, and not the second.
        norm_first: Whether to normalize before each branch instead of after it.
        bias: Whether linear maps and layer norms have a bias.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> layer = nn.TransformerEncoderLayer(d_model=16, nhead=4, dim_feedforward=32, batch_first=True)
        >>> layer(lucid.randn(2, 10, 16)).shape
        (2, 10, 16)
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Activation = relu, layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__(
            ("self_attn",), d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, device, dtype,
        )  # fmt: skip

    def forward(
        self, src: Tensor, src_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """The layer's output; the masks are those of ``MultiheadAttention``."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, attn_mask=src_mask, key_padding_mask=src_key_padding_mask, need_weights=False,
                is_causal=is_causal,
            )[0]  # fmt: skip

        return self._residual(self._residual(src, 1, attend), 2, self._feed_forward)


class TransformerDecoderLayer(_TransformerLayer):
    """Self-attention, attention to the encoder's output, and a network of two linear maps.

    Shapes: tgt (T, N, d_model), memory (S, N, d_model), or with the batch first; out as tgt.

    Args:
        d_model: The number of features.
        nhead: The number of heads.
        dim_feedforward: The number of features between the linear maps.
        dropout: The probability of zeroing a value during training.
        activation: "relu", "gelu" or a function.
        layer_norm_eps: ``eps`` of the layer norms.
        batch_first: Whether the batch is the first dimension, and not the second.
        norm_first: Whether to normalize before each branch instead of after it.
        bias: Whether linear maps and layer norms have a bias.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> layer = nn.TransformerDecoderLayer(d_model=16, nhead=4, dim_feedforward=32, batch_first=True)
        >>> layer(lucid.randn(2, 5, 16), lucid.randn(2, 10, 16)).shape
        (2, 5, 16)
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Activation = relu, layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__(
            ("self_attn", "multihead_attn"), d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps,
            batch_first, norm_first, bias, device, dtype,
        )  # fmt: skip

    def forward(
        self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None, memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """The layer's output; the masks are those of ``MultiheadAttention``."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, attn_mask=tgt_mask, key_padding_mask=tgt_key_padding_mask, need_weights=False,
                is_causal=tgt_is_causal,
            )[0]  # fmt: skip

        def attend_to_memory(x: Tensor) -> Tensor:
            return self.multihead_attn(
                x, memory, memory, attn_mask=memory_mask, key_padding_mask=memory_key_padding_mask,
                need_weights=False, is_causal=memory_is_causal,
            )[0]  # fmt: skip

        x = self._residual(tgt, 1, attend)
        return self._residual(self._residual(x, 2, attend_to_memory), 3, self._feed_forward)


class TransformerEncoder(Module):
    """``num_layers`` copies of an encoder layer, one after the other.

    Args:
        encoder_layer: The layer, of which all copies start with the same values.
        num_layers: The number of copies.
        norm: A module for the output, such as a layer norm.
        enable_nested_tensor: Accepted for compatibility with PyTorch.
        mask_check: Accepted for compatibility with PyTorch.

    Example:
        >>> layer = nn.TransformerEncoderLayer(d_model=16, nhead=4, dim_feedforward=32, batch_first=True)
        >>> nn.TransformerEncoder(layer, num_layers=2)(lucid.randn(2, 10, 16)).shape
        (2, 10, 16)
    """

    def __init__(
        self, encoder_layer: Module, num_layers: int, norm: Module | None = None, enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layers = _copies("TransformerEncoder", encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(
        self, src: Tensor, mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:  # fmt: skip
        """The output of the last layer; ``is_causal`` is a hint that ``mask`` is causal."""
        for layer in self.layers:
            src = layer(src, src_mask=mask, is_causal=bool(is_causal), src_key_padding_mask=src_key_padding_mask)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """``num_layers`` copies of a decoder layer, one after the other.

    Args:
        decoder_layer: The layer, of which all copies start with the same values.
        num_layers: The number of copies.
        norm: A module for the output, such as a layer norm.

    Example:
        >>> layer = nn.TransformerDecoderLayer(d_model=16, nhead=4, dim_feedforward=32, batch_first=True)
        >>> nn.TransformerDecoder(layer, num_layers=2)(lucid.randn(2, 5, 16), lucid.randn(2, 10, 16)).shape
        (2, 5, 16)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies("TransformerDecoder", decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None, memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """The output of the last layer; ``tgt_is_causal`` is a hint that ``tgt_mask`` is causal."""
        for layer in self.layers:
            tgt = layer(
                tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )  # fmt: skip
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder and a decoder, without embeddings and output layer.

    Shapes: src (S, N, d_model), tgt (T, N, d_model), or with the batch first; out as tgt.

    Args:
        d_model: The number of features.
        nhead: The number of heads.
        num_encoder_layers: The number of encoder layers.
        num_decoder_layers: The number of decoder layers.
        dim_feedforward: The number of features between the linear maps.
        dropout: The probability of zeroing a value during training.
        activation: "relu", "gelu" or a function.
        custom_encoder: A module to use as the encoder.
        custom_decoder: A module to use as the decoder.
        layer_norm_eps: ``eps`` of the layer norms.
        batch_first: Whether the batch is the first dimension, and not the second.
        norm_first: Whether to normalize before each branch instead of after it.
        bias: Whether linear maps and layer norms have a bias.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> model = nn.Transformer(16, 4, 1, 1, 32, batch_first=True)
        >>> mask = nn.Transformer.generate_square_subsequent_mask(5)
        >>> model(lucid.randn(2, 10, 16), lucid.randn(2, 5, 16), tgt_mask=mask).shape
        (2, 5, 16)
    """

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = relu,
        custom_encoder: Any = None, custom_decoder: Any = None, layer_norm_eps: float = 1e-5,
        batch_first: bool = False, norm_first: bool = False, bias: bool = True, device: object = None,
        dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        kept = parameter_dtype("Transformer", device, dtype)
        layer_options: tuple[Any, ...] = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, None,
            kept,
        )  # fmt: skip
        if custom_encoder is None:
            layer: Module = TransformerEncoderLayer(*layer_options)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=kept)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm)
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*layer_options)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=kept)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm)
        self.encoder = custom_encoder
        self.decoder = custom_decoder
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        for one in self.parameters():
            if one.ndim > 1:
                init.xavier_uniform_(one)

    def forward(
        self, src: Tensor, tgt: Tensor, src_mask: Tensor | None = None, tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None, tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """The decoder's output; the masks are those of ``MultiheadAttention``.

        Raises:
            ValueError: the batches or the numbers of features of ``src`` and ``tgt`` differ.
        """
        for name, one in (("src", src), ("tgt", tgt)):
            if not isinstance(one, Tensor):
                raise TypeError(f"Transformer: {name} must be a Tensor, got {type(one).__name__}")
            _checks.rank("Transformer", name, one.shape, (2, 3), "(L, N, features) or (L, features)")
        at = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[at] != tgt.shape[at]:
            raise _checks.ArgumentError(
                f"Transformer: src and tgt must have equal batches, got shapes {src.shape} and {tgt.shape}"
            )
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise _checks.ArgumentError(
                f"Transformer: src and tgt must have {self.d_model} features, got shapes {src.shape} and {tgt.shape}"
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: object = None, dtype: object = None) -> Tensor:
        """The causal mask (sz, sz): 0 on and below the diagonal, ``-inf`` above it."""
        size = _checks.integer("generate_square_subsequent_mask", "sz", sz, 0)
        kept = parameter_dtype("generate_square_subsequent_mask", device, dtype)
        return tape.wrap(mx.triu(mx.full((size, size), -math.inf, dtype=kept), 1))
