"""What programs ask of a PyTorch tensor that has one answer here: where it is, how it lies in memory, of which kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast, overload

import mlx.core as mx

from lucid import _checks, _layout, tape
from lucid._backward import AfterAccumulation, RemovableHandle
from lucid._device import get_default_device
from lucid._layout import Layout
from lucid._placement import strided
from lucid._tensor_convert import as_array

if TYPE_CHECKING:
    from lucid._tensor import Tensor


def _always(value: Any, meaning: str) -> Any:
    """A property with the same value for all tensors."""

    def read(self: Any) -> Any:
        return value

    return property(read, doc=f"{value!r}: {meaning}.")


def _never(meaning: str) -> Callable[[Any], bool]:
    """A method that is False for all tensors."""

    def read(self: Any) -> bool:
        return False

    read.__doc__ = f"False: {meaning}."
    return read


def _on(kind: str) -> Any:
    def read(self: Any) -> bool:
        return get_default_device().type == kind

    return property(read, doc=f"Whether operations run on a {kind} device now.")


class TensorAttributes(tape.TensorBase):
    """Base class of ``lucid.Tensor`` with attributes that ask what a tensor is."""

    __slots__ = ()

    is_cpu, is_cuda, is_mps = _on("cpu"), _on("cuda"), _on("mps")
    is_meta = _always(False, "tensors have values")
    is_sparse = is_sparse_csr = _always(False, "tensors are dense")
    is_quantized = _always(False, "tensors are not quantized")
    is_mkldnn = is_nested = is_xla = is_xpu = is_vulkan = is_ipu = is_maia = is_mtia = _always(False, "MLX has no such")
    layout = _always(strided, "tensors are dense")
    name = _always(None, "tensors have no names")
    is_inference = _never("inference mode makes no special tensors")
    is_distributed = _never("a tensor is whole in each process")
    is_coalesced = _never("tensors are dense")

    def is_pinned(self, device: Any = None) -> bool:
        """False: memory is unified."""
        return False

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._array.nbytes

    def element_size(self) -> int:
        """The size of one element in bytes."""
        return self._array.itemsize

    def get_device(self) -> int:
        """The index of the GPU that operations run on now, or -1 for the CPU."""
        device = get_default_device()
        return -1 if device.type == "cpu" else device.index or 0

    def is_complex(self) -> bool:
        """Whether the dtype is complex64."""
        return self._array.dtype == mx.complex64

    def is_signed(self) -> bool:
        """Whether the dtype has negative numbers."""
        return self._array.dtype != mx.bool_ and not mx.issubdtype(self._array.dtype, mx.unsignedinteger)

    def is_nonzero(self) -> bool:
        """Whether the only element is not zero. Waits for it.

        Raises:
            RuntimeError: the tensor does not have exactly one element.
        """
        return bool(self)

    def is_same_size(self, other: Tensor) -> bool:
        """Whether ``other`` has the same shape."""
        return self._array.shape == as_array(other).shape

    def is_set_to(self, tensor: Tensor) -> bool:
        """Whether ``tensor`` holds the same elements of the same memory, in the same order."""
        if not isinstance(tensor, tape.TensorBase):
            raise TypeError(f"is_set_to: tensor must be a Tensor, got {type(tensor).__name__}")
        if self is tensor:
            return True
        ours, theirs = self._place, tensor._place
        same_memory = ours is not None and theirs is not None and ours.cell is theirs.cell
        return same_memory and self._layout() == tensor._layout()

    def is_shared(self) -> bool:
        """True: memory is unified."""
        return True

    def share_memory_(self) -> Tensor:
        """The tensor itself. To send tensors to other processes, see ``lucid.distributed``."""
        return cast("Tensor", self)

    def pin_memory(self, device: Any = None) -> Tensor:
        """The tensor itself: memory is unified."""
        return cast("Tensor", self)

    def _layout(self) -> Layout:
        """Where the elements lie in the memory of the tensor that this is a view of."""
        found = None if self._place is None else self._place.layout()
        return _layout.contiguous(self._array.shape) if found is None else found

    @overload
    def stride(self, dim: None = None) -> tuple[int, ...]: ...
    @overload
    def stride(self, dim: int) -> int: ...
    def stride(self, dim: int | None = None) -> tuple[int, ...] | int:
        """How many elements lie between two indices of each dimension, or of ``dim``, as PyTorch lays them out."""
        found = self._layout().strides
        return found if dim is None else found[_checks.dim("stride", dim, len(found))]

    def storage_offset(self) -> int:
        """How many elements of the memory lie before the first one of this tensor, as PyTorch lays them out."""
        return self._layout().offset

    def dim_order(self, *, ambiguity_check: Any = False) -> tuple[int, ...]:
        """The dimensions from the outermost to the innermost in memory, as PyTorch lays them out."""
        strides = self._layout().strides
        return tuple(sorted(range(len(strides)), key=lambda dim: -strides[dim]))

    @property
    def retains_grad(self) -> bool:
        """Whether ``backward()`` stores the gradient of this computed tensor, see ``retain_grad``."""
        node = self._node
        kept = None if node is None or node.retained is None else node.retained.get(self._index)
        return kept is not None and kept() is self

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call ``hook(tensor)`` when a backward pass has added to ``.grad`` of this leaf.

        Returns:
            A handle with ``remove()``, which is also a context manager.

        Raises:
            RuntimeError: the tensor is no leaf that requires gradients.
        """
        if self._node is not None or not self._requires_grad:
            raise RuntimeError("register_post_accumulate_grad_hook: this tensor is no leaf that requires grad")
        if self._hooks is None:
            self._hooks = {}
        return RemovableHandle(self._hooks, AfterAccumulation(hook))

    @property
    def output_nr(self) -> int:
        """Which output of the operation that computed it this tensor is."""
        return self._index

    @property
    def _base(self) -> Tensor | None:
        """The tensor that this one is a view of."""
        return None if self._place is None else cast("Tensor | None", self._place.base)

    def _is_view(self) -> bool:
        return self._base is not None
