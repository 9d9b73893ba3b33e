"""Layers that compare vectors."""

from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.ops._types import TensorLike
from lucid.ops.distance import pairwise_distance
from lucid.ops.loss import cosine_similarity


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along ``dim``; see ``lucid.nn.functional.cosine_similarity``.

    Args:
        dim: The dimension of the vectors.
        eps: The least product of their norms, for numerical stability.

    Example:
        >>> nn.CosineSimilarity(dim=0)(lucid.tensor([1.0, 0.0]), lucid.tensor([2.0, 0.0])).item()
        1.0
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: TensorLike, x2: TensorLike) -> Tensor:
        return cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The ``p``-norm of the difference of vectors; see ``lucid.nn.functional.pairwise_distance``.

    Args:
        p: The order of the norm.
        eps: Added to the difference, for numerical stability.
        keepdim: Whether to keep the dimension of the vectors, with size 1.

    Example:
        >>> nn.PairwiseDistance()(lucid.randn(8, 16), lucid.randn(8, 16)).shape
        (8,)
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: TensorLike, x2: TensorLike) -> Tensor:
        return pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
