"""The sections of ``lucid bench``: time limit, failures, and what is counted beside what is measured."""

import math

import mlx.core as mx
import pytest

import lucid
from lucid.benchmark import accuracy, frameworks, run
from lucid.benchmark.depthwise import Case, counted_bytes


def setup(mode="training", dtype="float32"):
    return frameworks.make_setup(run.QUICK, 2, 8, dtype, mode)


def test_nothing_starts_after_the_time_limit():
    lines = [
        *run.kernel_lines(True, 0.0),
        *run.depthwise_lines(True, None, 0.0),
        *run.model_lines(True, None, 0.0, 1.0),
    ]
    assert {line.get("skipped") for line in lines} == {"the time limit was reached"}
    assert len(lines) == 3 * len(list(accuracy.checks(True))) + 1 + 2


def test_an_unknown_section_is_an_error():
    with pytest.raises(ValueError, match="bench: only must be 'kernels', 'depthwise' or 'models', got 'all'"):
        run.run(only=["all"])


def test_frameworks_are_timed_side_by_side():
    lucids, mlx = run.compare_frameworks(setup(), None, 0.0)
    assert (lucids["framework"], lucids["title"], mlx["framework"]) == ("lucid", "Lucid, compiled", "mlx")
    assert lucids["is_right"] and lucids["difference"] < 1e-3
    for line in (lucids, mlx):
        assert line["images_per_second"] == pytest.approx(2 / line["seconds"]) and line["peak_bytes"] > 0


def test_a_wrong_loss_and_a_framework_that_cannot_run_are_reported(monkeypatch):
    def no_memory(setup, **_):
        raise RuntimeError("out of memory\nand more")

    known = dict(frameworks.FRAMEWORKS)
    known["mlx"] = ("mlx.nn", lambda setup: {"step": lambda: mx.array(math.nan)})
    known["torch"] = known["torch-contiguous"] = ("PyTorch", no_memory)
    monkeypatch.setattr(frameworks.Framework, "known", known)
    lines = {one["framework"]: one for one in run.compare_frameworks(setup(), (None, "cpu"), 0.0)}
    assert lines["torch"] == {"framework": "torch", "title": "PyTorch", "error": "out of memory"}
    assert not lines["lucid"]["is_right"] and lines["lucid"]["difference"] is None


def test_failures_are_counted(monkeypatch):
    line = {"mode": "training", "dtype": "float32", "title": "x"}
    models = [
        line | {"framework": "lucid", "error": "a"},
        line | {"framework": "torch", "error": "b"},
        line | {"framework": "lucid", "seconds": 1.0, "images_per_second": 1.0, "is_right": False},
        line | {"framework": "lucid", "skipped": "c"},
    ]
    monkeypatch.setattr(run, "model_lines", lambda *_: iter(models))
    shown = []
    results = run.run(quick=True, only=["models"], show=shown.append)
    assert results["failures"] == 2 and results["kernels"] == results["depthwise"] == []
    assert shown[1:] == [
        "training float32 x: error: a",
        "training float32 x: error: b",
        "training float32 x: 1000.0 ms, 1.0 images/s; WRONG: differs from mlx.nn",
        "training float32 x: skipped: c",
    ]


def test_the_rate_is_that_of_the_counted_bytes(monkeypatch):
    monkeypatch.setattr(run._device, "backend", lambda: "metal")
    monkeypatch.setattr(run.accuracy, "unsupported", lambda dtype: "no" if dtype == "bfloat16" else "")
    found = [{"framework": "lucid", "seconds": 0.5}, {"framework": "mlx", "seconds": 1.0}]
    monkeypatch.setattr(run, "compare_frameworks", lambda *_: [dict(one) for one in found])
    monkeypatch.setattr(run.frameworks, "counted_bytes", lambda setup: 10**9)
    lines = list(run.model_lines(True, None, float("inf"), 4.0))
    assert [(line["mode"], line["dtype"]) for line in lines[::2]] == [
        (mode, dtype) for mode in ("training", "inference") for dtype in ("float32", "float16")
    ]
    for line in lines:
        rates = [line.get(key) for key in ("counted_bytes", "gigabytes_per_second", "of_a_copy")]
        assert rates == ([10**9, 2.0, 0.5] if line["framework"] == "lucid" else [None] * 3)


def test_counted_bytes_are_those_of_the_profile():
    case = Case(2, 8, 8, 32, 7, "float32")
    counted = counted_bytes(case)
    weights = 32 * 49 * 4
    assert counted["forward"] >= case.min_bytes + weights and counted["weight gradient"] >= case.min_bytes + weights
    inference, training = frameworks.counted_bytes(setup("inference")), frameworks.counted_bytes(setup())
    model, images, _ = frameworks.lucid_inputs(setup("inference"))
    with lucid.no_grad():
        assert inference == lucid.profile(model, images, state=model, compiled=True).bytes
    parameters = sum(value.nbytes for value in setup().weights.values())
    # AdamW reads weight, gradient and both moments, and writes all but the gradient.
    assert training > inference + 7 * parameters
