"""``MultiheadAttention``."""

from lucid import _checks
from lucid._tensor import Tensor
from lucid.nn import init
from lucid.nn._common import empty_parameter, parameter_dtype
from lucid.nn.functional_attention import multi_head_attention_forward
from lucid.nn.linear import Linear
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter


class MultiheadAttention(Module):
    """Attention of ``query`` to ``key`` and ``value`` with several heads, between linear maps.

    Shapes: query (L, N, E), key (S, N, kdim), value (S, N, vdim), out (L, N, E); with ``batch_first`` the batch N comes
    first, and without a batch there is no N. The weights are (N, L, S). Source: Vaswani et al. 2017, arXiv:1706.03762.

    Args:
        embed_dim: The number of features of query and output, divisible by ``num_heads``.
        num_heads: The number of heads.
        dropout: The probability of zeroing an attention weight during training.
        bias: Whether the linear maps have a bias.
        add_bias_kv: Whether to append a learned key and value.
        add_zero_attn: Whether to append a key and a value of zeros.
        kdim: The number of features of key, by default ``embed_dim``.
        vdim: The number of features of value, by default ``embed_dim``.
        batch_first: Whether the batch is the first dimension of inputs and output, and not the second.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> layer = nn.MultiheadAttention(8, 2, batch_first=True)
        >>> x = lucid.randn(4, 10, 8)
        >>> y, weights = layer(x, x, x)
        >>> y.shape
        (4, 10, 8)
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        where = "MultiheadAttention"
        kept = parameter_dtype(where, device, dtype)
        self.embed_dim = _checks.integer(where, "embed_dim", embed_dim, 1)
        self.num_heads = _checks.integer(where, "num_heads", num_heads, 1)
        _checks.divisible(where, "embed_dim", embed_dim, "num_heads", num_heads)
        self.dropout = _checks.probability(where, "dropout", dropout)
        self.batch_first = _checks.flag(where, "batch_first", batch_first)
        self.add_zero_attn = _checks.flag(where, "add_zero_attn", add_zero_attn)
        self.kdim = embed_dim if kdim is None else _checks.integer(where, "kdim", kdim, 1)
        self.vdim = embed_dim if vdim is None else _checks.integer(where, "vdim", vdim, 1)
        self.head_dim = embed_dim // num_heads
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        separate = {"q_proj_weight": embed_dim, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        for name, width in separate.items():
            own = None if self._qkv_same_embed_dim else empty_parameter(embed_dim, width, dtype=kept)
            self.register_parameter(name, own)
        packed = empty_parameter(3 * embed_dim, embed_dim, dtype=kept) if self._qkv_same_embed_dim else None
        self.register_parameter("in_proj_weight", packed)
        self.register_parameter("in_proj_bias", empty_parameter(3 * embed_dim, dtype=kept) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, dtype=kept)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, empty_parameter(1, 1, embed_dim, dtype=kept) if add_bias_kv else None)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            weight: Parameter | None = getattr(self, name)
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
        need_weights: bool = True, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """The attention, and its weights or ``None``.

        Args:
            query: (L, N, E).
            key: (S, N, kdim).
            value: (S, N, vdim).
            key_padding_mask: (N, S): True for keys to ignore, or numbers added to their scores.
            need_weights: Whether to return the weights. Without them a fused kernel computes the attention.
            attn_mask: (L, S) or (N * num_heads, L, S): True where attention is forbidden, or numbers added to scores.
            average_attn_weights: Whether to average the weights over the heads.
            is_causal: A hint that ``attn_mask`` is causal.
        """
        swap = self.batch_first and all(isinstance(one, Tensor) and one.ndim == 3 for one in (query, key, value))
        if swap:
            given = {id(one): one.transpose(0, 1) for one in (query, key, value)}  # equal tensors stay equal
            query, key, value = (given[id(one)] for one in (query, key, value))
        out, weights = multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k,
            self.bias_v, self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias, self.training,
            key_padding_mask, need_weights, attn_mask, not self._qkv_same_embed_dim, self.q_proj_weight,
            self.k_proj_weight, self.v_proj_weight, average_attn_weights=average_attn_weights, is_causal=is_causal,
        )  # fmt: skip
        return (out.transpose(0, 1) if swap else out), weights
