"""Two and three processes, each running ``program``, give the results of a single one."""

import numpy as np
import pytest

from tests.distributed import program
from tests.distributed.launching import ROOT, needs_launcher, needs_mpi, run_launcher, run_mpi, run_ring

PROGRAM = ROOT / "tests" / "distributed" / "program.py"


@pytest.fixture(scope="module")
def alone():
    accuracy, confusion = program.trained_accuracy()
    return {
        "gradients": program.gradients(),
        "compiled": program.compiled_weights(),
        "accuracy": accuracy,
        "confusion": confusion,
        "seen": program.seen(),
    }


@pytest.mark.parametrize(
    ("run", "size", "backend"),
    [
        pytest.param(run_launcher, 2, "ring", id="mlx.launch-2", marks=needs_launcher),
        pytest.param(run_ring, 3, "ring", id="ring-3"),
        pytest.param(run_mpi, 2, "mpi", id="mpirun-2", marks=needs_mpi),
    ],
)
def test_several_processes_agree_with_one(alone, tmp_path, run, size, backend):
    results = run(size, tmp_path, PROGRAM, tmp_path, backend)
    assert all(code == 0 and "Traceback" not in errors for code, _, errors in results), results
    ranks = [dict(np.load(tmp_path / f"{rank}.npz")) for rank in range(size)]
    for rank in ranks:
        for name in ("gradients", "compiled", "accuracy", "confusion"):
            np.testing.assert_array_equal(rank[name], ranks[0][name])
        np.testing.assert_allclose(rank["gradients"], alone["gradients"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(rank["compiled"], alone["compiled"], rtol=0, atol=1e-5)
    assert ranks[0]["confusion"].sum() == alone["confusion"].sum()
    assert ranks[0]["accuracy"] == pytest.approx(alone["accuracy"], abs=1.5 / 355)
    assert ranks[0]["accuracy"] > 0.85
    for part, whole in enumerate(alone["seen"]):
        together = np.concatenate([rank[f"seen_{part}"] for rank in ranks])
        assert sorted(together) == sorted(whole) == list(range(53))
