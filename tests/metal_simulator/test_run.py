"""Whatever a kernel does, the caller only gets an error."""

import mlx.core as mx
import pytest

from tests.metal_simulator import Options, SimulationError, run, simulation
from tests.metal_simulator.run import current_options

INDEX = "uint i = thread_position_in_grid.x; "


def test_an_endless_loop_ends(run_kernel, monkeypatch):
    monkeypatch.setattr(run, "RUN_TIMEOUT_S", 1)
    with pytest.raises(SimulationError, match="the kernel did not finish in 1 s"):
        run_kernel(INDEX + "while (x[0] < 1.0f) { y[i] = x[1]; }")


def test_a_process_that_dies_is_reported_with_its_signal(run_kernel):
    with pytest.raises(SimulationError, match="the run ended with SIGILL"):
        run_kernel(INDEX + "y[i] = x[i]; __builtin_trap();")


def test_after_a_fault_the_next_run_is_right(run_kernel):
    with pytest.raises(SimulationError):
        run_kernel(INDEX + "y[i] = x[i + 1000000000u];")
    y, report = run_kernel(INDEX + "y[i] = x[i];")
    assert mx.array_equal(y, mx.arange(64))
    assert report.faults == []


def test_options_nest_and_are_restored():
    before = current_options()
    with simulation(order="random", seed=3):
        with simulation(round_up_grid=True) as inner:
            assert inner == Options(order="random", seed=3, round_up_grid=True) == current_options()
        assert current_options() == Options(order="random", seed=3)
    assert current_options() == before
