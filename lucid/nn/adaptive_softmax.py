"""``AdaptiveLogSoftmaxWithLoss``. Source: Grave et al. 2016, arXiv:1609.04309."""

from collections.abc import Sequence
from typing import NamedTuple

from lucid import _bounds, _checks
from lucid._tensor import Tensor
from lucid.nn.containers import ModuleList, Sequential
from lucid.nn.linear import Linear
from lucid.nn.module import Module
from lucid.ops import joining
from lucid.ops.activation import log_softmax
from lucid.ops.gather_scatter import gather
from lucid.ops.indexing import where as choose


class _OutputAndLoss(NamedTuple):
    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """An approximate softmax over many classes that are sorted by frequency, and its loss.

    The head has the most frequent classes and one class for each cluster of rarer ones, whose layers are narrower.
    Shapes: input (N, in_features) or (in_features,), target (N,) or (); the result is a named tuple of ``output``, the
    log-probability of each target, and ``loss``, minus its mean.

    Args:
        in_features: The number of features.
        n_classes: The number of classes.
        cutoffs: Where the clusters start, increasing.
        div_value: The number of features of a cluster is divided by this for each cluster.
        head_bias: Whether the head has a bias.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> layer = nn.AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs=[4, 10])
        >>> output, loss = layer(lucid.randn(5, 8), lucid.tensor([0, 3, 7, 12, 19]))
        >>> output.shape, layer.log_prob(lucid.randn(5, 8)).shape
        ((5,), (5, 20))
    """

    def __init__(
        self, in_features: int, n_classes: int, cutoffs: Sequence[int], div_value: float = 4.0, head_bias: bool = False,
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        where = "AdaptiveLogSoftmaxWithLoss"
        self.in_features = _checks.integer(where, "in_features", in_features, 1)
        self.n_classes = _checks.integer(where, "n_classes", n_classes, 1)
        if not isinstance(cutoffs, Sequence):
            raise TypeError(f"{where}: cutoffs must be a list of integers, got {cutoffs!r:.60}")
        listed = [_checks.integer(where, "cutoffs", one) for one in cutoffs]
        rising = all(a < b for a, b in zip([0, *listed], [*listed, n_classes], strict=True))
        if not listed or not rising:
            raise ValueError(f"{where}: cutoffs must increase between 1 and n_classes - 1, got {list(cutoffs)}")
        self.cutoffs = [*listed, n_classes]
        self.div_value = _checks.number(where, "div_value", div_value, 0, above=True)
        self.head_bias = bool(head_bias)
        self.shortlist_size = listed[0]
        self.n_clusters = len(listed)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=self.head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, device=device, dtype=dtype),
                    Linear(width, size, bias=False, device=device, dtype=dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Reset the parameters to new random values."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _OutputAndLoss:
        where = "AdaptiveLogSoftmaxWithLoss"
        for name, one in (("input", input_), ("target", target_)):
            if not isinstance(one, Tensor):
                raise TypeError(f"{where}: {name} must be a Tensor, got {type(one).__name__}")
        x, target = (input_, target_) if target_.ndim else (input_.unsqueeze(0), target_.unsqueeze(0))
        if target.ndim != 1 or x.ndim != 2 or x.shape[0] != target.shape[0]:
            raise _checks.ArgumentError(
                f"{where}: input and target must be (N, features) and (N,), or (features,) and (), "
                f"got {input_.shape} and {target_.shape}"
            )
        _bounds.check_classes(where, target._array, self.n_classes)
        # Every sample goes through all clusters, and one log-probability is chosen: no value has to be read.
        head = log_softmax(self.head(x), 1)
        output = gather(head, 1, target.clamp(0, self.shortlist_size - 1).unsqueeze(1)).squeeze(1)
        for i, tail in enumerate(self.tail):
            low, high = self.cutoffs[i], self.cutoffs[i + 1]
            place = (target - low).clamp(0, high - low - 1).unsqueeze(1)
            inside = gather(log_softmax(tail(x), 1), 1, place).squeeze(1) + head[:, self.shortlist_size + i]
            output = choose((target >= low) & (target < high), inside, output)
        loss = -output.mean()
        return _OutputAndLoss(output if target_.ndim else output.squeeze(0), loss)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes (N, n_classes)."""
        head = log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            parts.append(log_softmax(tail(input), 1) + head[:, self.shortlist_size + i].unsqueeze(1))
        return joining.cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each sample (N,)."""
        return self.log_prob(input).argmax(1)
