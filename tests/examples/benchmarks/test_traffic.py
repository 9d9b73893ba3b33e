"""The tables of the benchmark, and the counts that docs/traffic.md shows."""

import importlib
import re
from pathlib import Path

import mlx.core as mx
import pytest

DOCS = (Path(__file__).parents[3] / "docs/traffic.md").read_text(encoding="utf-8")


@pytest.fixture
def traffic():
    return importlib.import_module("traffic")


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("lucid", (63.5, 35)),
        ("lucid-eager", (63.5, 36)),
        ("hand", (81.3, 31)),
        ("mlx", (116.3, 36)),
        ("mlx-eager", (210.3, 48)),
    ],
)
def test_a_block_of_the_first_stage(traffic, name, cost):
    _, count, compiled = traffic.FRAMEWORKS[name]
    model = traffic.MODELS["tiny"]
    one, two = (count(model.stage(0, depth), mx.float32, compiled, False) for depth in (1, 2))
    passes = (two.bytes - one.bytes) / model.map_bytes(0, mx.float32)
    assert (round(passes, 1), two.launches - one.launches) == cost
    row = next(line for line in DOCS.splitlines() if line.startswith(f"| {traffic.FRAMEWORKS[name][0]} |"))
    assert f"{cost[0]} ({cost[1]})" in row


@pytest.mark.parametrize("name", ["tiny", "v2-tiny", "mini"])
def test_a_block_takes_at_most_71_passes_compiled_and_90_eager(traffic, name):
    model = traffic.MODELS[name]
    for name, limit in (("lucid", 71), ("lucid-eager", 90)):
        assert traffic.block_passes(traffic.block_costs(name, model, mx.float32), model, mx.float32) <= limit


def test_the_small_model_as_documented(traffic, capsys):
    assert traffic.main(["--models", "mini", "--frameworks", "lucid", "mlx", "--markdown"]) == 0
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith(("| Lucid", "| mlx.nn"))]
    assert len(rows) == 4
    assert all(row in DOCS for row in rows)


def test_the_list_of_kernels(traffic, capsys):
    traffic.main(["--models", "mini", "--kernels", "lucid", "--stage", "1"])
    printed = capsys.readouterr().out
    assert "biased_gelu_gradient" in printed and re.search(r"rolling_forward +2\.00 +1\.00", printed)
    traffic.main(["--models", "mini", "--kernels", "mlx", "--dtype", "bfloat16", "--batch", "8"])
    assert "bfloat16" in capsys.readouterr().out
