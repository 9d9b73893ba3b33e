"""Depthwise two-dimensional convolution; start reading in ``dispatch.py``."""

from lucid.kernels.depthwise_conv2d.dispatch import depthwise_conv2d, gradients

__all__ = ["depthwise_conv2d", "gradients"]
