"""Sizes of a convolution."""

import pytest

from lucid.kernels.depthwise_conv2d.geometry import Geometry


@pytest.mark.parametrize(
    ("geometry", "extent", "output"),
    [
        (Geometry((56, 56), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1)), (7, 7), (56, 56)),
        (Geometry((15, 16), (3, 5), (2, 3), ((1, 0), (2, 2)), (1, 2)), (3, 9), (7, 4)),
        (Geometry((4, 4), (7, 7), (1, 1), ((0, 0), (0, 0)), (1, 1)), (7, 7), (-2, -2)),
    ],
)
def test_extent_and_output(geometry, extent, output):
    assert geometry.extent == extent
    assert geometry.output == output


def test_the_transposed_convolution_gives_back_the_input_size():
    for padding in [((3, 3), (3, 3)), ((0, 5), (2, 1)), ((9, 8), (0, 0))]:
        geometry = Geometry((12, 13), (7, 5), (1, 1), padding, (1, 2))
        assert geometry.transposed().output == geometry.size
