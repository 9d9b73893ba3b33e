"""``EmbeddingBag``, and its function."""

import numpy as np

from lucid import _checks, _grad_mode, tape
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.nn import init
from lucid.nn._common import empty_parameter, parameter_dtype
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.ops import affine
from lucid.ops import embedding_bag as operation
from lucid.ops._common import index_array
from lucid.ops._types import TensorLike


def embedding_bag(
    input: TensorLike, weight: TensorLike, offsets: TensorLike = None, max_norm: float | None = None,
    norm_type: float = 2, scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
    per_sample_weights: TensorLike = None, include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean, sum or maximum of the rows of ``weight`` that each bag of indices selects; an empty bag gives 0.

    Shapes: input (bags, size) or, with offsets, (indices,); weight (num_embeddings, embedding_dim); out (bags,
    embedding_dim).

    Args:
        offsets: Where each bag starts in ``input`` (bags,); its values are read.
        max_norm: Selected rows of ``weight`` with a larger norm are first scaled to this norm, in place.
        norm_type: The order of that norm.
        scale_grad_by_freq: Whether to divide the gradient of a row by its number of occurrences; not for "max".
        mode: "sum", "mean" or "max".
        sparse: Sparse gradients, which are not supported.
        per_sample_weights: A factor for each row, in the shape of ``input``; for "sum" only.
        include_last_offset: Whether ``offsets`` ends with the number of indices, which starts no bag.
        padding_idx: An index that is left out.

    Raises:
        ValueError: the shapes do not match, or options exclude each other.
        IndexError: an index is out of range.

    Example:
        >>> table = lucid.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> F.embedding_bag(lucid.tensor([0, 1, 1]), table, lucid.tensor([0, 2])).tolist()
        [[2.0, 3.0], [3.0, 4.0]]
    """
    caller = "embedding_bag"
    affine.refuse_sparse(caller, sparse)
    if not isinstance(mode, str) or mode not in operation.MODES:
        raise ValueError(f"{caller}: mode must be 'sum', 'mean' or 'max', got {mode!r:.60}")
    indices = index_array(caller, tape.unwrap(input), "input")
    shape = as_array(weight).shape
    _checks.rank(caller, "weight", shape, 2, "(num_embeddings, embedding_dim)")
    _checks.rank(caller, "input", indices.shape, (1, 2), "(bags, size) or (indices,)")
    if indices.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{caller}: offsets must be None for an input of two dimensions, whose rows are the bags")
        sizes = np.full(indices.shape[0], indices.shape[1])
    elif offsets is None:
        raise ValueError(f"{caller}: offsets are required for an input of one dimension")
    else:
        sizes = operation.bags(caller, indices, tape.unwrap(offsets), bool(include_last_offset))
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(f"{caller}: per_sample_weights need mode='sum', got {mode!r}")
        given = as_array(per_sample_weights)
        if given.shape != indices.shape:
            raise ValueError(f"{caller}: per_sample_weights must have shape {indices.shape}, got {given.shape}")
    if scale_grad_by_freq and mode == "max":
        raise ValueError(f"{caller}: scale_grad_by_freq is not defined for mode='max'")
    row = None if padding_idx is None else _checks.dim(caller, padding_idx, shape[0], "padding_idx")
    if max_norm is not None:
        if not isinstance(weight, Tensor):
            raise TypeError(f"{caller}: weight must be a Tensor for max_norm, got {type(weight).__name__}")
        limit, order = _checks.number(caller, "max_norm", max_norm, 0), _checks.number(caller, "norm_type", norm_type)
        weight._update(affine.with_limited_rows(indices, weight._array, limit, order))
    return operation.embedding_bag(
        input, weight, tuple(sizes.tolist()), mode, bool(scale_grad_by_freq), per_sample_weights, row
    )


class EmbeddingBag(Module):
    """The mean, sum or maximum of rows of a table, for bags of indices; see ``lucid.nn.functional.embedding_bag``.

    Shapes: input (bags, size) or, with offsets, (indices,); out (bags, embedding_dim); weight (num_embeddings,
    embedding_dim). Rows are initialized from the standard normal distribution.

    Args:
        num_embeddings: Number of rows.
        embedding_dim: Size of a row.
        max_norm: Rows that are looked up and have a larger norm are scaled to this norm, in place.
        norm_type: The order of that norm.
        scale_grad_by_freq: Whether to divide the gradient of a row by its number of occurrences in the input.
        mode: "sum", "mean" or "max".
        sparse: Sparse gradients, which are not supported.
        include_last_offset: Whether ``offsets`` ends with the number of indices.
        padding_idx: An index that is left out, and whose row is zero at first.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> bags = nn.EmbeddingBag(10, 3, mode="sum")
        >>> bags(lucid.tensor([1, 2, 4, 5, 4]), lucid.tensor([0, 3])).shape
        (2, 3)
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: TensorLike = None,
        include_last_offset: bool = False, padding_idx: int | None = None, device: object = None,
        dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        where = "EmbeddingBag"
        kept = parameter_dtype(where, device, dtype)
        self.num_embeddings = _checks.integer(where, "num_embeddings", num_embeddings, 1)
        self.embedding_dim = _checks.integer(where, "embedding_dim", embedding_dim, 0)
        self.max_norm = None if max_norm is None else _checks.number(where, "max_norm", max_norm, 0)
        self.norm_type = _checks.number(where, "norm_type", norm_type)
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = _checks.one_of(where, "mode", mode, operation.MODES)
        affine.refuse_sparse(where, sparse)
        self.sparse = False
        self.include_last_offset = include_last_offset
        self.padding_idx = (
            None if padding_idx is None else _checks.dim(where, padding_idx, num_embeddings, "padding_idx")
        )
        if _weight is None:
            self.weight = empty_parameter(num_embeddings, embedding_dim, dtype=kept)
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight)
            if self.weight.shape != (num_embeddings, embedding_dim):
                raise ValueError(
                    f"{where}: the weight must have shape {(num_embeddings, embedding_dim)}, got {self.weight.shape}"
                )

    def reset_parameters(self) -> None:
        """Reset the parameters to new random values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with _grad_mode.set_recording(False):
                self.weight[self.padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls, embeddings: TensorLike, freeze: bool = True, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> "EmbeddingBag":  # fmt: skip
        """A layer with the table ``embeddings`` (num_embeddings, embedding_dim), which is frozen by default."""
        shape = as_array(embeddings).shape
        _checks.rank("EmbeddingBag.from_pretrained", "embeddings", shape, 2)
        layer = cls(
            shape[0], shape[1], max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings,
            include_last_offset, padding_idx,
        )  # fmt: skip
        layer.weight.requires_grad_(not freeze)
        return layer

    def forward(self, input: TensorLike, offsets: TensorLike = None, per_sample_weights: TensorLike = None) -> Tensor:
        return embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, False,
            per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
