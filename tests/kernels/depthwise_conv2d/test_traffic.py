"""What the kernels request from memory, counted in the simulator."""

import json

import mlx.core as mx
import pytest

from lucid.kernels.depthwise_conv2d.geometry import Geometry
from lucid.kernels.depthwise_conv2d.launch import Launcher
from tests.kernels import depthwise_traffic
from tests.kernels.depthwise_traffic import BATCHES, BEFORE, DIRECTIONS, DTYPES, STAGES, count, launched, run
from tests.metal_simulator import simulation


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("images", [1, 3])
def test_a_cropped_launch_scales_exactly(simulator, direction, dtype, images):
    size, channels = 9, 192
    report = run(launched(direction, DTYPES[dtype], (images, size, size, channels)))
    outputs = images * size * size * channels
    found = count(direction, dtype, images, size, channels)
    assert found["bytes"] * outputs == pytest.approx(report.loaded_bytes + report.stored_bytes, rel=1e-6)
    assert found["lines"] * outputs == pytest.approx(report.lines, rel=1e-6)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("padding", [0, 3])
def test_each_access_of_a_simdgroup_reads_neighboring_addresses(simulator, direction, padding):
    """32 channels of float32 are one line, of the weight too."""
    geometry = Geometry((9, 10), (7, 7), (1, 1), ((padding, padding), (padding, padding)), (1, 1))
    x, dy = mx.zeros((2, 9, 10, 64)), mx.zeros((2, *geometry.output, 64))
    weight, launcher = mx.zeros((64, 1, 7, 7)).squeeze(1).transpose(1, 2, 0), Launcher("metal")
    with simulation(lines=True):
        if direction == "output":
            launcher.forward(x, weight, mx.zeros(64), geometry)
        elif direction == "input gradient":
            launcher.input_gradient(dy, weight, geometry)
        else:
            launcher.weight_gradient(x, dy, geometry)
    [(_, report)] = simulator
    for name, buffer in report.buffers.items():
        if name not in report.companions:
            assert buffer.load_lines == buffer.load_accesses and buffer.store_lines == buffer.store_accesses, name


def test_the_table_in_the_guide_is_current(simulator):
    """Of the last two stages; the others take a minute."""
    guide = (depthwise_traffic.ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    before = json.loads(BEFORE.read_text(encoding="utf-8"))["counts"]
    rows = [line for line in depthwise_traffic.tables(before, dict(depthwise_traffic.count_all(STAGES[2:]))) if line]
    assert len(rows) == len(BATCHES) * (3 + 2 * len(DIRECTIONS))
    assert [line for line in rows if line not in guide] == []
