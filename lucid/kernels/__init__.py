"""Kernels: differentiable functions on ``mx.array`` that run on Lucid's own shaders where there is a GPU.

``lucid.kernels.depthwise_conv2d.depthwise_conv2d`` and ``lucid.kernels.gelu.gelu`` are the functions. To find out
whether a kernel causes a problem, replace all of them with MLX's own operations: with ``use_reference()``, or with
``LUCID_KERNELS=reference`` in the environment.
"""

from lucid.kernels.choice import use_reference

__all__ = ["use_reference"]
