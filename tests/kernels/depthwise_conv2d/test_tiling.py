"""Tilings fill GPUs of 10 to 80 cores; tuned ones are found again, and a file that does not apply counts as empty."""

import itertools
import json

import mlx.core as mx
import pytest

from lucid.kernels.depthwise_conv2d import tiling
from lucid.kernels.depthwise_conv2d.tiling import (
    GROUPS,
    THREADS,
    Tiling,
    default_forward_tiling,
    general_weight_gradient_chunks,
    weight_gradient_tiling,
)

SHAPE = (32, 96, 56, 56)
KERNEL = (7, 7)
FASTEST = Tiling(2, 4, 64)
STAGES = [(96, 56), (192, 28), (384, 14), (768, 7)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LUCID_CACHE", str(tmp_path))
    monkeypatch.delenv("LUCID_TUNING", raising=False)
    tiling.clear_cache()
    yield tmp_path
    tiling.clear_cache()


def found(shape=SHAPE, dtype=mx.float32, kernel=KERNEL):
    return tiling.forward_tiling("metal", dtype, kernel, shape)


def tuned():
    return tiling.tune("metal", mx.float32, KERNEL, SHAPE, lambda one: 0.5 if one == FASTEST else 1.0)


def test_without_a_file_the_default_is_used():
    assert found() == default_forward_tiling("metal", KERNEL, SHAPE)


def test_the_fastest_is_kept_and_found_by_the_next_process():
    assert tuned() == (FASTEST, 0.5)
    assert found() == FASTEST
    assert tiling.save() == tiling.path()
    tiling.clear_cache()
    assert found() == FASTEST
    assert [one.name for one in tiling.path().parent.iterdir()] == ["tuning.json"]


def test_a_tuning_applies_to_its_class_of_shapes_only():
    tuned()
    assert found((17, 96, 56, 56)) == FASTEST  # batches of 17 to 32 are one class
    for other in ((16, 96, 56, 56), (32, 97, 56, 56), (32, 96, 55, 56)):
        assert found(other) == default_forward_tiling("metal", KERNEL, other)
    assert found(dtype=mx.float16) == found(kernel=(5, 5)) == default_forward_tiling("metal", KERNEL, SHAPE)
    assert tiling.forward_tiling("cuda", mx.float32, KERNEL, SHAPE) == default_forward_tiling("cuda", KERNEL, SHAPE)


def test_among_equals_the_default_wins():
    assert tiling.tune("metal", mx.float32, KERNEL, SHAPE, lambda one: 1.0)[0] == default_forward_tiling(
        "metal", KERNEL, SHAPE
    )


@pytest.mark.parametrize("shape", [SHAPE, (1, 768, 7, 7), (1, 1, 1, 1), (3, 5, 2, 90)])
def test_every_candidate_is_distinct_and_possible(shape):
    listed = list(tiling.candidates("metal", KERNEL, shape))
    assert listed[0] == default_forward_tiling("metal", KERNEL, shape)
    assert len(set(listed)) == len(listed)
    assert all(1 <= one.chunks <= shape[2] for one in listed)


def test_it_can_be_turned_off(monkeypatch):
    tuned()
    monkeypatch.setenv("LUCID_TUNING", "off")
    assert found() == default_forward_tiling("metal", KERNEL, SHAPE)
    monkeypatch.setenv("LUCID_TUNING", "never")
    with pytest.raises(ValueError, match="LUCID_TUNING must be 'on' or 'off', got 'never'"):
        found()


def rewrite(change):
    tuned()
    path = tiling.save()
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))
    tiling.clear_cache()


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored.update(gpu="Another GPU"),
        lambda stored: stored.update(mlx="0.0"),
        lambda stored: stored.update(lucid="0.0"),
        lambda stored: stored.update(format=99),
        lambda stored: stored.pop("gpu"),
        lambda stored: stored.pop("cuts"),
        lambda stored: stored.update(cuts=[1, 2]),
        lambda stored: stored["cuts"].update(x=[5, 1, 128]),
        lambda stored: stored["cuts"].update(x=[4, 0, 128]),
        lambda stored: stored["cuts"].update(x=[4, 1.5, 128]),
        lambda stored: stored["cuts"].update(x=[4, 1, 4096]),
        lambda stored: stored["cuts"].update(x=[4, 1]),
        lambda stored: stored["cuts"].update(x=None),
    ],
)
def test_a_file_that_does_not_apply_or_is_invalid_counts_as_empty(change):
    rewrite(change)
    assert found() == default_forward_tiling("metal", KERNEL, SHAPE)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_damaged_file_counts_as_empty(content):
    tiling.path().write_bytes(content)
    assert found() == default_forward_tiling("metal", KERNEL, SHAPE)


def test_more_chunks_than_rows_are_not_used():
    rewrite(lambda stored: stored["cuts"].update({tiling.key("metal", mx.float32, KERNEL, SHAPE): [4, 57, 128]}))
    assert found() == default_forward_tiling("metal", KERNEL, SHAPE)


@pytest.mark.parametrize(
    ("platform", "variables", "wanted"),
    [
        ("darwin", {}, "home/Library/Caches/lucid/tuning.json"),
        ("linux", {}, "home/.cache/lucid/tuning.json"),
        ("linux", {"XDG_CACHE_HOME": "xdg"}, "xdg/lucid/tuning.json"),
        ("linux", {"LUCID_CACHE": "own"}, "own/tuning.json"),
    ],
)
def test_where_the_file_is(platform, variables, wanted, tmp_path, monkeypatch):
    monkeypatch.delenv("LUCID_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, folder in variables.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    assert tiling.path() == tmp_path / wanted


def threads(chosen, images, channels, width):
    return channels * -(-width // chosen.strip) * chosen.chunks * images


@pytest.mark.parametrize(("channels", "size"), STAGES)
def test_batches_of_32_fill_the_largest_gpu(channels, size):
    chosen = default_forward_tiling("metal", KERNEL, (32, channels, size, size))
    assert chosen.strip == 4 and chosen.chunks == 1  # whole columns: the fewest loads
    assert threads(chosen, 32, channels, size) >= 30_000


@pytest.mark.parametrize(("channels", "size"), STAGES)
def test_single_images_get_smaller_tiles(channels, size):
    chosen = default_forward_tiling("metal", KERNEL, (1, channels, size, size))
    assert threads(chosen, 1, channels, size) >= 4096
    assert chosen.threads == THREADS


@pytest.mark.parametrize(("channels", "size"), STAGES[:2])
def test_small_batches_get_more_threads_than_the_smallest_gpu_needs(channels, size):
    chosen = default_forward_tiling("metal", KERNEL, (4, channels, size, size))
    assert threads(chosen, 4, channels, size) >= 10_000


@pytest.mark.parametrize(
    ("architecture", "wanted"),
    [("applegpu_g13g", 4096), ("applegpu_g16s", 16384), ("applegpu_g14d", 32768), ("armv9s", 4096)],
)
def test_single_images_get_as_many_threads_as_the_gpu_runs(monkeypatch, architecture, wanted):
    monkeypatch.setattr(mx, "device_info", lambda: {"architecture": architecture})
    tiling.threads_of_gpu.cache_clear()
    assert tiling.threads_of_gpu("metal") == wanted and tiling.threads_of_gpu("cuda") == 65536
    for channels, size in STAGES:
        chosen = default_forward_tiling("metal", KERNEL, (1, channels, size, size))
        smallest = channels * size * -(-size // 4)  # threads with one column and 4 rows each: 10,752 at 7x7
        assert threads(chosen, 1, channels, size) >= min(wanted, smallest)
    tiling.threads_of_gpu.cache_clear()


@pytest.mark.parametrize("images", [1, 8, 32])
@pytest.mark.parametrize(("channels", "size"), STAGES)
def test_cuda_gets_narrow_strips_of_large_kernels_and_more_threads(channels, size, images):
    shape = (images, channels, size, size)
    chosen = default_forward_tiling("cuda", KERNEL, shape)
    assert chosen.strip <= 2 and weight_gradient_tiling("cuda", KERNEL, shape, 4).strip <= 2
    assert {one.strip for one in tiling.candidates("cuda", KERNEL, shape)} <= {1, 2}
    assert {one.strip for one in tiling.candidates("cuda", (5, 5), shape)} == {1, 2, 3, 4}
    assert threads(chosen, images, channels, size) >= min(65536, images * channels * size * size // 4)


def weight_gradient_units(tiles, images, size):
    return images * -(-size // tiles.rows) * -(-size // tiles.strip)


@pytest.mark.parametrize("language", ["metal", "cuda"])
@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("images", [32, 64, 128])
@pytest.mark.parametrize(("channels", "size"), STAGES)
def test_partial_sums_take_less_than_a_tenth_of_the_bytes_of_x_and_dy(channels, size, images, itemsize, language):
    tiles = weight_gradient_tiling(language, KERNEL, (images, channels, size, size), itemsize)
    written = tiles.chunks * 50 * channels * 4
    assert 2 * written < 0.1 * 2 * images * size * size * channels * itemsize
    # With as many threads as that allows: in half precision at 7 px, where 1,568 positions have 50 sums, 6,144.
    active = channels * -(-weight_gradient_units(tiles, images, size) // tiles.count)
    assert active >= (6_000 if size == 7 and itemsize == 2 else 16_384)


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize(("channels", "size"), STAGES)
def test_the_weight_gradient_of_a_single_image_fills_a_small_gpu(channels, size, itemsize):
    tiles = weight_gradient_tiling("metal", KERNEL, (1, channels, size, size), itemsize)
    assert channels * -(-weight_gradient_units(tiles, 1, size) // tiles.count) >= 3600
    assert tiles.chunks <= 6


@pytest.mark.parametrize("images", [1, 2, 3, 7, 32, 33, 1000])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (7, 7), (13, 29), (56, 56), (500, 3)])
@pytest.mark.parametrize("channels", [1, 3, 96, 2048])
def test_no_chunk_is_empty(images, height, width, channels):
    shape = (images, channels, height, width)
    for language, itemsize in itertools.product(("metal", "cuda"), (2, 4)):
        assert 1 <= default_forward_tiling(language, KERNEL, shape).chunks <= height
        tiles = weight_gradient_tiling(language, KERNEL, shape, itemsize)
        units = images * -(-height // tiles.rows) * -(-width // tiles.strip)
        per_chunk = tiles.count * GROUPS
        assert 1 <= tiles.rows <= height and (tiles.chunks - 1) * per_chunk < units <= tiles.chunks * per_chunk
        chunks = general_weight_gradient_chunks(language, shape, itemsize, 49, 7)
        rows = images * height
        assert 1 <= chunks <= rows and (chunks - 1) * -(-rows // chunks) < rows


def test_the_order_of_the_sums_does_not_depend_on_a_tuning():
    before = weight_gradient_tiling("metal", KERNEL, SHAPE, 4)
    tuned()
    assert weight_gradient_tiling("metal", KERNEL, SHAPE, 4) == before
