"""Two processes print the same losses as one."""

import importlib
import re

import pytest

from tests.distributed.launching import ROOT, needs_launcher, run_launcher, run_ring

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

SCRIPT = ROOT / "examples" / "distributed.py"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The losses and the accuracy of a single process."""
    [(code, output, errors)] = run_ring(1, tmp_path_factory.mktemp("alone"), SCRIPT, "--epochs", "2")
    assert code == 0, errors
    return numbers(output, 1)


def numbers(output, processes):
    assert f"{processes} process(es): " in output
    losses = [float(one) for one in re.findall(r"epoch \d: loss ([\d.]+)", output)]
    assert len(losses) == 2
    return [*losses, float(re.search(r"([\d.]+)% of the test images", output)[1])]


def test_two_processes_print_the_losses_of_one(alone, tmp_path):
    results = run_ring(2, tmp_path, SCRIPT, "--epochs", "2")
    assert [code for code, _, _ in results] == [0, 0], results
    assert results[1][1] == ""  # rank 0 alone prints
    found = numbers(results[0][1], 2)
    assert found[:2] == pytest.approx(alone[:2], abs=1e-3) and found[2] == pytest.approx(alone[2], abs=1)


@needs_launcher
def test_the_launcher_starts_two_processes(alone, tmp_path):
    [(_, output, _)] = run_launcher(2, tmp_path, SCRIPT, "--epochs", "2")
    assert numbers(output, 2)[:2] == pytest.approx(alone[:2], abs=1e-3)


def test_batches_must_divide_evenly(monkeypatch):
    example = importlib.import_module("distributed")
    monkeypatch.setattr(example.dist, "get_world_size", lambda: 3)
    with pytest.raises(ValueError, match="the number of processes must divide 64, got 3"):
        example.train(1)
