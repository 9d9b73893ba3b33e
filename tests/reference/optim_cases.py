"""The optimizer runs that PyTorch records and Lucid repeats: same start, same gradients, same options.

The gradient of a parameter depends on the parameter, so an error in one step is carried into the next ones.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("optim.npz")
STEPS = 50
RECORDED_STEPS = (1, 2, 10, 50)
SHAPES = ((), (1,), (7,), (3, 5), (4, 3, 3, 3))
MATRICES = ((3, 5), (5, 3), (4, 4), (1, 7), (7, 1), (2, 13))


@dataclass(frozen=True)
class OptimCase:
    """An optimizer's class and options. ``groups`` are (numbers of the parameters, their own options)."""

    name: str
    optimizer: str
    options: dict[str, Any] = field(default_factory=dict)
    groups: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = ()
    missing: bool = False  # some parameters have no gradient in some steps
    quiet: bool = False  # one parameter has gradients of zero in the first steps
    lr_changes: bool = False

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return MATRICES if self.optimizer == "Muon" else SHAPES

    def start(self) -> list[np.ndarray]:
        return [_wave(shape, 1.7, 0.3 + i).astype(np.float32) for i, shape in enumerate(self.shapes)]

    def noise(self, step: int, number: int) -> np.ndarray | None:
        """What is added to half the parameter to give its gradient; ``None``: no gradient in this step."""
        if self.missing and (step + number) % 3 == 0:
            return None
        if self.missing and number == 2 and step < 20:  # one that comes late
            return None
        return _wave(self.shapes[number], 1.3, 0.9 * step + number).astype(np.float32)

    def run(self, lib: Any, make: Any) -> tuple[list[np.ndarray], dict[str, Any]]:
        """All parameters in one row after each recorded step, and the optimizer's state at the end."""
        parameters = [make(one).requires_grad_() for one in self.start()]
        params: Any = parameters
        if self.groups:
            params = [{"params": [parameters[i] for i in numbers], **own} for numbers, own in self.groups]
        optimizer = getattr(lib.optim, self.optimizer)(params, **self.options)
        found = []
        for step in range(1, STEPS + 1):
            optimizer.zero_grad()
            if self.lr_changes:
                for group in optimizer.param_groups:
                    group["lr"] = 0.01 / step
            for number, parameter in enumerate(parameters):
                noise = self.noise(step, number)
                if noise is not None:
                    parameter.grad = parameter.detach() * 0.5 + make(noise)
                    if self.quiet and number == 3 and step <= 4:
                        parameter.grad = parameter.grad * 0.0
            optimizer.step()
            if step in RECORDED_STEPS:
                found.append(np.concatenate([np.ravel(p.detach().numpy()) for p in parameters]))
        return found, optimizer.state_dict()


def _wave(shape: tuple[int, ...], frequency: float, phase: float) -> np.ndarray:
    return np.sin(frequency * np.arange(int(np.prod(shape))) + phase).reshape(shape)


def _case(optimizer: str, name: str = "", **rest: Any) -> OptimCase:
    kinds = {key: rest.pop(key) for key in ("groups", "missing", "quiet", "lr_changes") if key in rest}
    return OptimCase(f"{optimizer} {name}".strip(), optimizer, rest, **kinds)


CASES = [
    _case("SGD"),
    _case("SGD", "weight decay", lr=0.1, weight_decay=0.1),
    _case("SGD", "momentum", lr=0.05, momentum=0.9),
    _case("SGD", "dampening", lr=0.05, momentum=0.9, dampening=0.4, weight_decay=0.01),
    _case("SGD", "nesterov", lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.01),
    _case("SGD", "maximize", lr=0.01, momentum=0.5, maximize=True, weight_decay=0.01),
    _case("SGD", "missing", lr=0.05, momentum=0.9, dampening=0.3, missing=True),
    _case("SGD", "lr changes", momentum=0.9, lr_changes=True),
    _case(
        "SGD",
        "groups",
        lr=0.1,
        groups=(((0, 3), {"momentum": 0.9}), ((1,), {"lr": 0.01, "weight_decay": 0.3}), ((4, 2), {})),
    ),
    _case("Adam"),
    _case("Adam", "large steps", lr=0.1, betas=(0.8, 0.95), eps=1e-3),
    _case("Adam", "weight decay", lr=0.01, weight_decay=0.1),
    _case("Adam", "amsgrad", lr=0.05, betas=(0.9, 0.9), amsgrad=True, weight_decay=0.01),
    _case("Adam", "maximize", lr=0.01, maximize=True),
    _case("Adam", "decoupled", lr=0.01, weight_decay=0.1, decoupled_weight_decay=True),
    _case("Adam", "betas zero", lr=0.01, betas=(0.0, 0.0)),
    _case("Adam", "eps zero", lr=0.01, eps=0.0),
    _case("Adam", "missing", lr=0.01, missing=True),
    _case("Adam", "quiet", lr=0.01, quiet=True),
    _case("Adam", "lr changes", lr_changes=True),
    _case(
        "Adam",
        "groups",
        groups=(((4, 0), {"lr": 0.1}), ((1, 2), {"betas": (0.5, 0.6), "amsgrad": True}), ((3,), {"eps": 0.1})),
    ),
    _case("AdamW"),
    _case("AdamW", "weight decay", lr=0.02, weight_decay=0.5, betas=(0.9, 0.95)),
    _case("AdamW", "amsgrad", lr=0.02, amsgrad=True, betas=(0.9, 0.8)),
    _case("AdamW", "maximize", lr=0.01, maximize=True),
    _case("AdamW", "missing", lr=0.01, missing=True),
    _case("AdamW", "groups", groups=(((0, 1, 2), {"weight_decay": 0.0}), ((3, 4), {"lr": 0.01, "weight_decay": 0.3}))),
    _case("RMSprop"),
    _case("RMSprop", "weight decay", lr=0.01, alpha=0.9, eps=1e-4, weight_decay=0.1),
    _case("RMSprop", "momentum", lr=0.005, momentum=0.9),
    _case("RMSprop", "centered", lr=0.01, centered=True, eps=1e-3),
    _case("RMSprop", "all", lr=0.002, centered=True, eps=1e-2, momentum=0.7, weight_decay=0.1, maximize=True),
    _case("RMSprop", "missing", lr=0.01, momentum=0.5, missing=True),
    _case("RMSprop", "quiet", lr=0.01, quiet=True),
    _case("Adagrad"),
    _case("Adagrad", "decay", lr=0.1, lr_decay=0.1, weight_decay=0.1),
    _case("Adagrad", "accumulator", lr=0.1, initial_accumulator_value=0.5, eps=1e-2),
    _case("Adagrad", "maximize", lr=0.05, maximize=True),
    _case("Adagrad", "missing", lr=0.1, lr_decay=0.2, missing=True),
    _case("Adagrad", "quiet", lr=0.1, quiet=True),
    _case("Adadelta"),
    _case("Adadelta", "weight decay", lr=0.5, rho=0.7, eps=1e-3, weight_decay=0.1),
    _case("Adadelta", "missing", maximize=True, missing=True),
    _case("Adamax"),
    _case("Adamax", "weight decay", lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    _case("Adamax", "missing", lr=0.01, maximize=True, missing=True),
    _case("NAdam"),
    _case("NAdam", "weight decay", lr=0.02, betas=(0.8, 0.95), weight_decay=0.1, momentum_decay=0.1),
    _case("NAdam", "decoupled", lr=0.02, weight_decay=0.1, decoupled_weight_decay=True),
    _case("NAdam", "missing", lr=0.01, maximize=True, missing=True),
    _case("RAdam"),
    _case("RAdam", "weight decay", lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    _case("RAdam", "decoupled", lr=0.02, weight_decay=0.1, decoupled_weight_decay=True),
    _case("RAdam", "never adaptive", lr=0.02, betas=(0.9, 0.5)),
    _case("RAdam", "missing", lr=0.01, maximize=True, missing=True),
    _case("ASGD"),
    _case("ASGD", "averaging", lr=0.05, lambd=0.01, alpha=0.6, t0=5, weight_decay=0.1),
    _case("ASGD", "missing", lr=0.01, t0=2, maximize=True, missing=True),
    _case("Rprop"),
    _case("Rprop", "step sizes", lr=0.05, etas=(0.3, 1.5), step_sizes=(1e-3, 0.1)),
    _case("Rprop", "missing", lr=0.01, maximize=True, missing=True),
    _case("Adafactor"),
    _case("Adafactor", "weight decay", lr=0.1, weight_decay=0.1, d=2.0),
    _case("Adafactor", "eps", lr=0.5, beta2_decay=-0.5, eps=(1e-3, 0.1), maximize=True),
    _case("Adafactor", "missing", lr=0.3, missing=True),
    _case("Adafactor", "quiet", lr=0.1, quiet=True),
    _case("Adafactor", "groups", groups=(((3, 4), {"lr": 0.1}), ((0, 1, 2), {"d": 3.0, "weight_decay": 0.2}))),
    _case("Muon"),
    _case("Muon", "weight decay", lr=0.01, weight_decay=2.0, momentum=0.8),
    _case("Muon", "no nesterov", lr=0.02, nesterov=False),
    _case("Muon", "match", lr=0.05, adjust_lr_fn="match_rms_adamw"),
    _case("Muon", "original", lr=0.02, adjust_lr_fn="original", eps=0.5),
    _case("Muon", "polynomial", lr=0.05, ns_coefficients=(2.0, -1.5, 0.5), ns_steps=3),
    _case("Muon", "missing", lr=0.05, missing=True),
]
