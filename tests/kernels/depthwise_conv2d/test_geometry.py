"""Sizes of a convolution: what they imply, and which arguments are refused."""

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


def test_trimming_leaves_nothing_after_the_last_position_of_the_kernel():
    geometry = Geometry((15, 16), (3, 5), (2, 3), ((1, 1), (0, 4)), (1, 2)).trimmed()
    assert geometry.padding == ((1, 1), (0, 2)) and geometry.output == (8, 4)
    cropped = Geometry((9, 8), (2, 2), (4, 4), ((0, 0), (0, 0)), (1, 1)).trimmed()
    assert cropped.padding == ((0, -3), (0, -2)) and cropped.output == (2, 2)


def test_a_signal_is_an_image_of_one_row():
    geometry = Geometry((16,), (5,), (3,), ((1, 2),), (2,))
    image = geometry.with_height()
    assert image == Geometry((1, 16), (1, 5), (1, 3), ((0, 0), (1, 2)), (1, 2))
    assert image.output == (1, *geometry.output)


@pytest.mark.parametrize(
    ("padding", "pairs"),
    [
        (2, ((2, 2), (2, 2))),
        ((0, 3), ((0, 0), (3, 3))),
        (((0, 1), (2, 3)), ((0, 1), (2, 3))),
        (((0, 1), 2), ((0, 1), (2, 2))),
        ("valid", ((0, 0), (0, 0))),
        ("same", ((3, 3), (2, 3))),
    ],
)
def test_every_form_of_padding(padding, pairs):
    geometry = Geometry.checked("f", (9, 9), (7, 6), 1, padding, 1)
    assert geometry == Geometry((9, 9), (7, 6), (1, 1), pairs, (1, 1))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kernel": (3, 0)}, ValueError, r"f: the kernel must not be empty, got size \(3, 0\)"),
        ({"stride": 0}, ValueError, "f: stride must be at least 1, got 0"),
        ({"dilation": (1, True)}, TypeError, "f: dilation must be an integer, got True"),
        ({"padding": -1}, ValueError, "f: padding must be at least 0, got -1"),
        ({"padding": "full"}, ValueError, "f: padding must be 'same' or 'valid', got 'full'"),
        ({"padding": "same", "stride": 2}, ValueError, r"f: padding 'same' requires stride 1, got \(2, 2\)"),
        (
            {"padding": ((1, 1),)},
            ValueError,
            r"f: padding must be \(\(top, bottom\), \(left, right\)\), got \(\(1, 1\),\)",
        ),
        (
            {"dilation": (2, 1)},
            ValueError,
            r"f: the kernel spans 5x3 pixels but the padded input has only 4x5 \(kernel",
        ),
    ],
)
def test_arguments_that_are_refused(change, error, message):
    arguments = {"size": (4, 5), "kernel": (3, 3), "stride": 1, "padding": 0, "dilation": 1, **change}
    with pytest.raises(error, match=message):
        Geometry.checked("f", **arguments)


def test_taps_that_meet_padding_alone_are_left_out():
    geometry, kept = Geometry((2, 9), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1)).inner()
    assert geometry == Geometry((2, 9), (3, 7), (1, 1), ((1, 1), (3, 3)), (1, 1))
    assert kept == (slice(2, 5), slice(0, 7)) and geometry.output == (2, 9)
