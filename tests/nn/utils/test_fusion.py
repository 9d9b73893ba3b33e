"""Batch norm folded into the layer before it."""

import numpy as np
import pytest

import lucid
from lucid import nn


def trained(norm, width):
    norm.load_state_dict(
        {
            "weight": lucid.rand(width) + 0.5, "bias": lucid.randn(width), "running_mean": lucid.randn(width),
            "running_var": lucid.rand(width) + 0.5, "num_batches_tracked": lucid.tensor(1),
        }
    )  # fmt: skip
    return norm.eval()


@pytest.mark.parametrize("bias", [True, False])
def test_fused_layers_compute_the_same(bias):
    x, norm = lucid.randn(2, 3, 6, 6), trained(nn.BatchNorm2d(4), 4)
    for layer, transpose in ((nn.Conv2d(3, 4, 3, bias=bias), False), (nn.ConvTranspose2d(3, 4, 3, bias=bias), True)):
        layer.eval()
        found = nn.utils.fuse_conv_bn_eval(layer, norm, transpose)(x).numpy(force=True)
        np.testing.assert_allclose(found, norm(layer(x)).numpy(force=True), rtol=1e-4, atol=1e-5)
    norm, layer, x = trained(nn.BatchNorm1d(4), 4), nn.Linear(3, 4, bias=bias).eval(), lucid.randn(5, 3)
    found = nn.utils.fuse_linear_bn_eval(layer, norm)(x).numpy(force=True)
    np.testing.assert_allclose(found, norm(layer(x)).numpy(force=True), rtol=1e-4, atol=1e-5)


def test_training_mode_is_refused():
    with pytest.raises(RuntimeError, match="must be in evaluation mode"):
        nn.utils.fuse_conv_bn_eval(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
