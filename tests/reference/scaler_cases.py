"""Training with a loss scale and forced overflows, the same in PyTorch and Lucid."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "amp_scaler.npz"
STEPS = 14
OVERFLOWS = {  # the steps whose loss is infinite
    "none": (),
    "first": (0,),
    "several": (0, 1, 5, 11),
    "late": (6,),
}


@dataclass(frozen=True)
class ScalerCase:
    """One optimizer with its options, and the steps that overflow."""

    optimizer: str
    overflows: str
    options: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        options = ", ".join(f"{key}={value}" for key, value in {**self.options, **self.scaler}.items())
        return f"{self.optimizer}({options}), {self.overflows}"

    def run(self, lib: Any, make: Callable[[np.ndarray], Any]) -> dict[str, np.ndarray]:
        """The parameters, the learning rate and the scaler's state after every step."""
        rng = np.random.default_rng(4)
        params = [make(rng.normal(size=shape).astype(np.float32)).requires_grad_() for shape in ((3, 2), (2,))]
        inputs, target = rng.normal(size=(STEPS, 5, 3)).astype(np.float32), make(np.ones((5, 2), np.float32))
        optimizer = getattr(lib.optim, self.optimizer)(params, **self.options)
        scheduler = lib.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)
        scaler = lib.amp.GradScaler("cpu", **{"init_scale": 1024.0, "growth_interval": 3, **self.scaler})
        rows: dict[str, list[Any]] = {"parameters": [], "lr": [], "scale": [], "tracker": []}
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = ((make(inputs[step]) @ params[0] + params[1] - target) ** 2).mean()
            if step in OVERFLOWS[self.overflows]:
                loss = loss * float("inf")
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
            state = scaler.state_dict()
            rows["parameters"].append(np.concatenate([p.detach().numpy().ravel() for p in params]))
            rows["lr"].append(scheduler.get_last_lr()[0])
            rows["scale"].append(state["scale"])
            rows["tracker"].append(state["_growth_tracker"])
        return {key: np.array(values) for key, values in rows.items()}


CASES = [
    *(ScalerCase("SGD", overflows, {"lr": 0.1}) for overflows in OVERFLOWS),
    ScalerCase("SGD", "several", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ScalerCase("SGD", "several", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ScalerCase("Adam", "several", {"lr": 0.1}),
    ScalerCase("Adam", "late", {"lr": 0.1, "amsgrad": True}),
    ScalerCase("AdamW", "several", {"lr": 0.1, "amsgrad": True}),
    ScalerCase("AdamW", "several", {"lr": 0.1}, {"growth_factor": 3.0, "backoff_factor": 0.25, "growth_interval": 1}),
    ScalerCase("RMSprop", "several", {"lr": 0.01, "momentum": 0.9, "centered": True}),
    ScalerCase("Adagrad", "several", {"lr": 0.1, "initial_accumulator_value": 0.3, "lr_decay": 0.1}),
    ScalerCase("Adafactor", "several", {"lr": 0.1}),
    ScalerCase("AdamW", "late", {"lr": 0.1}, {"init_scale": 2.0**127, "growth_interval": 1}),  # would grow to infinity
]
