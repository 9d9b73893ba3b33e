"""Depthwise two-dimensional convolution. ``dispatch.py`` describes how it is computed and differentiated."""

from lucid.kernels.depthwise_conv2d.dispatch import depthwise_conv2d, forward, gradients

__all__ = ["depthwise_conv2d", "forward", "gradients"]
