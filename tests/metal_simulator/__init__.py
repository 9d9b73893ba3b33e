"""Runs Metal kernels on the CPU and checks every access. Start with README.md."""

from tests.metal_simulator.build import cache_folder, missing
from tests.metal_simulator.kernel import Kernel
from tests.metal_simulator.mlx_stand_in import Runs, simulated, stand_in
from tests.metal_simulator.run import BufferReport, Options, Report, SimulationError, simulation
from tests.metal_simulator.signature import generated_source

__all__ = [
    "Kernel",
    "Options",
    "simulation",
    "SimulationError",
    "Report",
    "BufferReport",
    "stand_in",
    "simulated",
    "Runs",
    "generated_source",
    "missing",
    "cache_folder",
]
