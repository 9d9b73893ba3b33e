"""``torch.nn.parallel``: a module on several GPUs of a machine, or in several processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from lucid import distributed as _distributed
from lucid._tensor import Tensor
from lucid.nn.module import Module


class DataParallel(Module):
    """Calls ``module``: MLX uses one GPU in a process, so there is nothing to share a batch with.

    As in PyTorch, the names of its state dict start with ``module.``, and ``.module`` is the module.

    Args:
        module: The module to call.
        device_ids, output_device, dim: Have no effect.
    """

    module: Module

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """A module whose gradients are means over all processes: averaged when ``backward()`` has computed them.

    All ranks start with rank 0's parameters and buffers, and buffers are rank 0's again before each forward pass in
    training mode. Every process must compute a gradient of every parameter that requires one.

    ``lucid.distributed.average_gradients`` sends fewer and larger messages, and takes batches of unequal size.

    Args:
        module: The module to call. Its state dict gets names that start with ``module.``.
        broadcast_buffers: Whether rank 0's buffers are those of all ranks.

    All other arguments are accepted, and have no effect.
    """

    module: Module

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0,
        broadcast_buffers: bool = True, init_sync: bool = True, process_group: Any = None, bucket_cap_mb: Any = None,
        find_unused_parameters: bool = False, check_reduction: bool = False, gradient_as_bucket_view: bool = False,
        static_graph: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self.module = module
        self.broadcast_buffers = broadcast_buffers
        self.require_backward_grad_sync = True
        self.device_ids, self.output_device = device_ids, output_device
        if init_sync:
            _distributed.broadcast_parameters(module)
        if _distributed.get_world_size() > 1:
            for parameter in module.parameters():
                if parameter.requires_grad:
                    parameter.register_hook(self._averaged)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        if self.broadcast_buffers and self.training and self.require_backward_grad_sync:
            for buffer in self.module.buffers():
                _distributed.broadcast(buffer)
        return self.module(*inputs, **kwargs)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """A context whose backward passes accumulate this process's own gradients."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def _averaged(self, gradient: Tensor) -> Tensor | None:
        if not self.require_backward_grad_sync:
            return None
        return _distributed.all_reduce(gradient.detach().clone(), "mean")
