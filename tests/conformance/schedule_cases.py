"""Arguments of learning rate schedules, in PyTorch's order and by its names: (class, arguments, keyword arguments)."""

from typing import Any


def part(schedule: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"schedule": schedule, "args": list(args), "kwargs": kwargs}


CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("LambdaLR", ["inverse"], {}),
    ("LambdaLR", [["inverse", "power"]], {"last_epoch": -1}),
    ("MultiplicativeLR", ["power"], {}),
    ("StepLR", [7], {}),
    ("StepLR", [3, 0.5, -1], {}),
    ("MultiStepLR", [[2, 5, 5, 30]], {}),
    ("MultiStepLR", [[4, 2], 0.3], {}),
    ("ConstantLR", [], {}),
    ("ConstantLR", [0.2, 9], {}),
    ("LinearLR", [], {}),
    ("LinearLR", [0.01, 0.7, 11], {}),
    ("ExponentialLR", [0.9], {}),
    ("PolynomialLR", [], {}),
    ("PolynomialLR", [17, 2.0], {}),
    ("CosineAnnealingLR", [10], {}),
    ("CosineAnnealingLR", [25, 0.003], {}),
    ("CosineAnnealingWarmRestarts", [5], {}),
    ("CosineAnnealingWarmRestarts", [4, 2, 0.001], {}),
    ("OneCycleLR", [0.5, 60], {}),
    ("OneCycleLR", [[0.5, 0.3], None, 8, 5, 0.2, "linear", True, 0.8, 0.9, 10.0, 100.0, True], {}),
    ("OneCycleLR", [0.5], {"total_steps": 41, "cycle_momentum": False, "three_phase": True}),
    ("CyclicLR", [0.01, 0.2], {"step_size_up": 7}),
    ("CyclicLR", [0.01, 0.2, 5, 3, "triangular2"], {}),
    ("CyclicLR", [0.01, 0.2, 4], {"mode": "exp_range", "gamma": 0.9, "cycle_momentum": False}),
    ("ReduceLROnPlateau", [], {}),
    ("ReduceLROnPlateau", ["min", 0.5, 2, 1e-3, "abs", 1, 0.001, 1e-9], {}),
    ("ReduceLROnPlateau", ["max"], {"patience": 3, "min_lr": [0.01, 0.001]}),
    ("SequentialLR", [[part("LinearLR", 0.1, total_iters=5), part("ExponentialLR", 0.9)], [5]], {}),
    ("SequentialLR", [[part("ConstantLR"), part("StepLR", 3), part("CosineAnnealingLR", 9)], [4, 20]], {}),
    ("ChainedScheduler", [[part("ConstantLR", 0.1, 6), part("ExponentialLR", 0.9)]], {}),
    ("SWALR", [0.05], {}),
    ("SWALR", [0.05, 6, "linear"], {}),
]  # fmt: skip
