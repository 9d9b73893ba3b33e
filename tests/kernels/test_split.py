"""How the work is cut: GPUs of 10 to 80 cores are filled, nothing is lost, partial sums stay in bounds."""

import pytest

from lucid.kernels.split import THREADS, forward_split, general_weight_chunks, weight_split

STAGES = [(96, 56), (192, 28), (384, 14), (768, 7)]


def threads(split, images, channels, width):
    return channels * -(-width // split.strip) * split.chunks * images


@pytest.mark.parametrize(("channels", "size"), STAGES)
def test_batches_of_32_fill_the_largest_gpu(channels, size):
    split = forward_split(32, channels, size, size)
    assert split.strip == 4 and split.chunks == 1  # whole columns: the fewest loads
    assert threads(split, 32, channels, size) >= 30_000


@pytest.mark.parametrize(("channels", "size"), STAGES)
def test_single_images_are_cut_finer(channels, size):
    split = forward_split(1, channels, size, size)
    # At 7x7 there are 37,632 outputs in all: strips of 2 and all rows, 3,072 threads, 12 outputs each.
    assert threads(split, 1, channels, size) >= (4096 if size > 7 else 3072)
    assert split.threads == THREADS


@pytest.mark.parametrize(
    ("channels", "size", "wanted"), [(96, 56, 30_000), (192, 28, 30_000), (384, 14, 30_000), (768, 7, 20_000)]
)
def test_the_weight_gradient_fills_it_as_far_as_partial_sums_pay(channels, size, wanted):
    rows, images = weight_split(32, channels, size, size, 49, 4)
    strips = -(-size // 4)
    assert channels * strips * rows * images >= (30_000 if size > 7 else 20_000)  # see weight_split
    assert rows * images * strips * 50 <= 32 * size * size  # half of the values of x and dy


@pytest.mark.parametrize("images", [1, 2, 3, 7, 32, 1000])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (7, 7), (13, 29), (56, 56), (500, 3)])
@pytest.mark.parametrize("channels", [1, 3, 96, 2048])
def test_no_piece_is_empty(images, height, width, channels):
    split = forward_split(images, channels, height, width)
    assert 1 <= split.chunks <= height
    rows, batches = weight_split(images, channels, height, width, 49, 4)
    assert 1 <= rows <= height and 1 <= batches <= images
    assert 1 <= general_weight_chunks(images, channels, height, width, 49, 7) <= images * height


def test_single_images_keep_14_rows_a_chunk_in_the_weight_gradient():
    assert weight_split(1, 96, 56, 56, 49, 4) == (4, 1)
