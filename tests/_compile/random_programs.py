"""Random programs that run eagerly and compiled, and must agree in everything.

    python -m tests._compile.random_programs 5000 [first seed]

runs more of them than the tests do, and prints those that differ. On a CPU MLX takes seconds to build the fused kernels
of each program with a C++ compiler. ``unfused()`` leaves fusion out: everything else is as in ``mx.compile``.
"""

import gc
import os
import random
import sys
import tempfile
import warnings
from contextlib import contextmanager

import mlx.core as mx
import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import metrics, nn, optim
from lucid._compile.differentiable import Pullback

FEATURES, CLASSES = 5, 3


class Gain(nn.Module):
    """A scale, and statistics of its own, kept in one of several ways."""

    def __init__(self, rng):
        super().__init__()
        self.gain = nn.Parameter(lucid.full((FEATURES,), 0.7))
        self.register_buffer("center", lucid.zeros(FEATURES))
        self.way, self.factors = rng.randrange(6), [1.0, 0.5]
        self.plain = lucid.zeros(FEATURES)

    def forward(self, x):
        mean = x.detach().mean(0)
        if self.training and self.way == 1:
            self.center.mul_(0.9).add_(mean * 0.1)
        elif self.training and self.way == 2:
            self.center = self.center * 0.9 + mean * 0.1
        elif self.training and self.way == 3:
            self.center.copy_(mean)
        elif self.training and self.way == 4:
            self.plain = self.plain * 0.5 + mean
        elif self.training and self.way == 5:
            self.center[:2] = mean[:2]
        return x * self.gain * self.factors[0] - 0.1 * self.center + 0.1 * self.plain


class Residual(nn.Module):
    def __init__(self, rng):
        super().__init__()
        self.inner, self.norm = nn.Linear(FEATURES, FEATURES), nn.LayerNorm(FEATURES)
        self.act = rng.choice([F.softplus, F.silu, lucid.tanh])

    def forward(self, x):
        return x + self.act(self.inner(self.norm(x)))


class Straight(nn.Module):
    def forward(self, x):
        return x + (x.round() - x).detach()


class Doubled(lucid.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 3


LAYERS = [
    lambda rng: nn.Linear(FEATURES, FEATURES),
    lambda rng: nn.LayerNorm(FEATURES),
    lambda rng: nn.BatchNorm1d(FEATURES),
    lambda rng: nn.Dropout(0.3),
    lambda rng: nn.SiLU(),
    lambda rng: nn.ReLU(),
    lambda rng: Straight(),
    Gain,
    Gain,
    Residual,
]
OPTIMIZERS = [
    lambda p: optim.SGD(p, lr=0.05),
    lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    lambda p: optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.1),
    lambda p: optim.AdamW(p, lr=0.01),
    lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    lambda p: optim.RMSprop(p, lr=0.01),
    lambda p: optim.Lion(p, lr=0.01),
]


class Program:
    """A model, an optimizer and a step, and what happens between steps, all chosen by ``seed``."""

    def __init__(self, seed):
        self.rng = rng = random.Random(seed)
        lucid.manual_seed(seed)
        self.model = nn.Sequential(*(rng.choice(LAYERS)(rng) for _ in range(rng.randint(1, 4))))
        self.model.append(nn.Linear(FEATURES, CLASSES))
        self.optimizer = rng.choice(OPTIMIZERS)(self.model.parameters())
        self.scheduler = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 10)
        self.ema = optim.EMA(self.model, 0.9) if rng.random() < 0.3 else None
        dampened = self.optimizer.param_groups[0].get("dampening")  # its first step with a scaler is refused
        self.scaler = lucid.amp.GradScaler(init_scale=8.0, enabled=rng.random() < 0.15 and not dampened)
        self.accuracy, self.mean_loss = metrics.Accuracy(), metrics.MeanMetric()
        self.total = lucid.tensor(0.0)
        self.options = {"smoothing": rng.choice([0.0, 0.1]), "weights": [1.0, 0.5]}
        self.offset = lucid.zeros(FEATURES)
        self.traits = {name for name in TRAITS if rng.random() < 0.2}
        self.outside = rng.random() < 0.25  # whether the step calls backward() and step() outside
        if "frozen" in self.traits:
            next(iter(self.model.parameters())).requires_grad_(False)
        if "hook" in self.traits:
            self.model[0].register_forward_hook(lambda module, args, out: out * 1.1)
        if "gradient hook" in self.traits:
            list(self.model.parameters())[-1].register_hook(lambda g: g * 0.5)
        if "module gradient hook" in self.traits:
            self.model[-1].register_full_backward_hook(
                lambda module, inputs, outputs: (None if inputs[0] is None else inputs[0] * 2,)
            )
        self.state = [self.model, self.optimizer, self.accuracy, self.mean_loss, self.total, self.scaler]
        self.state += [] if self.ema is None else [self.ema]

    def forward(self, x, y):
        traits, model = self.traits, self.model
        x = x + self.offset
        if "noise" in traits:
            x = x + 0.1 * lucid.randn(*x.shape)
        out = model(x)
        if "checkpoint" in traits:
            out = out + lucid.utils.checkpoint(model[-1], x * 1.0)
        if "function" in traits:
            out = Doubled.apply(out)
        if "normalized" in traits:
            out = out / (1 + out.detach().abs().mean())
        if "no_grad" in traits:
            with lucid.no_grad():
                scale = model(x).abs().mean()
            out = out / (1 + scale)
        if "autocast" in traits:
            with lucid.autocast(dtype=lucid.bfloat16):
                out = out + model[-1](x)
        loss = F.cross_entropy(out.float(), y, label_smoothing=self.options["smoothing"]) * self.options["weights"][1]
        if "twice" in traits:
            loss = loss + F.cross_entropy(model(x), y)
        return loss, out

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss, out = self.forward(x, y)
        if "second order" in self.traits and self.model[-1].weight.requires_grad:
            (g,) = lucid.autograd.grad(loss, [self.model[-1].weight], create_graph=True)
            loss = loss + 0.1 * g.square().sum()
        self.scaler.scale(loss).backward(retain_graph="retain" in self.traits)
        if "retain" in self.traits:
            (loss * 0.5).backward()
        if "clip" in self.traits:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.ema is not None:
            self.ema.update()
        self.accuracy.update(out.detach(), y)
        self.mean_loss.update(loss.detach(), len(y))
        self.total.add_(loss.detach() * self.optimizer.param_groups[0]["lr"])
        if "accuracy" in self.traits:
            with lucid.no_grad():
                return loss.detach(), self.model(x).argmax(1)
        return loss.detach(), out.detach()

    def change(self, x):
        """One change of the Python world between two steps."""
        rng, model = self.rng, self.model
        layer = rng.choice(list(model.modules()))
        changes = [
            lambda: model.train(not model.training),
            lambda: layer.register_forward_hook(lambda module, args, out: out * 0.9),
            lambda: self.options.update(smoothing=rng.choice([0.0, 0.2])),
            lambda: self.options["weights"].__setitem__(1, rng.choice([0.25, 1.0])),
            lambda: setattr(self, "offset", lucid.full((FEATURES,), rng.random())),
            lambda: self.offset.add_(0.1),
            lambda: self.optimizer.param_groups[0].update(weight_decay=0.1),
            lambda: self.optimizer.param_groups[0].update(lr=0.02),
            lambda: self.traits.symmetric_difference_update({rng.choice(TRAITS)}),
            lambda: [one.factors.__setitem__(0, 1.5) for one in model.modules() if isinstance(one, Gain)],
            lambda: [setattr(one, "act", F.relu) for one in model.modules() if isinstance(one, Residual)],
            lambda: list(model.parameters())[-1].requires_grad_(rng.random() < 0.5),
            lambda: model[-1].weight.detach().mul_(0.9),
        ]
        rng.choice(changes)()

    def run(self, compiled, steps=3):
        """Everything that is left after some steps, as nested lists."""
        batches = np.random.default_rng(self.rng.randrange(1000))
        step, forward = self.step, self.forward
        if compiled:
            step, forward = lucid.compile(self.step, state=self.state), lucid.compile(self.forward, state=self.state)
        found = []
        for _ in range(steps):
            size = self.rng.choice([4, 4, 6])
            x = lucid.tensor(batches.standard_normal((size, FEATURES)).astype(np.float32))
            y = lucid.tensor(batches.integers(0, CLASSES, size))
            if self.outside:
                self.optimizer.zero_grad()
                loss, out = forward(x, y)
                loss.backward()
                self.optimizer.step()
                found += [loss.tolist(), out.tolist()]
            else:
                found += [one.tolist() for one in step(x, y)]
            self.scheduler.step()
            if self.rng.random() < 0.4:
                self.change(x)
        state = self.optimizer.state_dict()["state"]
        return {
            "results": found,
            "model": {name: tensor.tolist() for name, tensor in self.model.state_dict().items()},
            "plain": [one.plain.tolist() for one in self.model.modules() if isinstance(one, Gain)],
            "gradients": [None if p.grad is None else p.grad.tolist() for p in self.model.parameters()],
            "optimizer": {i: {name: tensor.tolist() for name, tensor in one.items()} for i, one in state.items()},
            "rate": self.optimizer.param_groups[0].lr_tensor.item(),
            "ema": [] if self.ema is None else [t.tolist() for t in self.ema.state_tensors()],
            "metrics": [t.tolist() for one in (self.accuracy, self.mean_loss) for t in one.state_tensors()],
            "scaler": self.scaler.state_dict(),
            "total": self.total.tolist(),
            "random": lucid.random.get_state().tolist(),
        }


TRAITS = [
    "frozen", "hook", "gradient hook", "module gradient hook", "noise", "checkpoint", "function", "normalized",
    "no_grad", "autocast", "twice", "second order", "retain", "clip", "accuracy",
]  # fmt: skip


@contextmanager
def unfused():
    """Replace ``mx.compile`` by a graph that is traced once, stored in a file, loaded, and run without fusion.

    MLX stores its own operations only, so the C++ kernels are off.
    """
    original, native = mx.compile, os.environ.get("LUCID_NATIVE", "")
    os.environ["LUCID_NATIVE"] = "off"

    def compile_(function, **options):
        if options:
            return original(function, **options)
        if isinstance(function.__self__, Pullback):  # MLX cannot store some of these graphs: trace them at each call
            return original(function) if function.__self__.trace.created else function
        graphs = {}

        def call(*groups):
            flat, sizes = [array for group in groups for array in group], [len(group) for group in groups]
            key = tuple((array.shape, array.dtype) for array in flat), tuple(sizes)
            if key not in graphs:
                graphs[key] = stored(function, flat, sizes)
            graph, count = graphs[key]
            return list(graph(*flat))[:count]

        return call

    def stored(function, flat, sizes):
        count = 0

        def run(*arrays):
            nonlocal count
            source = iter(arrays)
            outputs = function(*([next(source) for _ in range(size)] for size in sizes))
            count = len(outputs)
            return outputs or [mx.zeros(1)]

        handle, path = tempfile.mkstemp(suffix=".mlxfn")
        os.close(handle)
        try:
            mx.export_function(path, run, *flat)
            return mx.import_function(path), count
        finally:
            os.remove(path)

    mx.compile = compile_
    try:
        yield
    finally:
        mx.compile = original
        os.environ["LUCID_NATIVE"] = native


def differences(a, b, path=""):
    """The places where two nested results differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        if list(a) != list(b):
            return [f"{path}: {list(a)} and {list(b)}"]
        return [found for name in a for found in differences(a[name], b[name], f"{path}/{name}")]
    nested = isinstance(a, list) and isinstance(b, list) and len(a) == len(b)
    if nested and any(isinstance(one, list | dict | type(None)) for one in (*a, *b)):
        return [found for i in range(len(a)) for found in differences(a[i], b[i], f"{path}/{i}")]
    if a is None or b is None:
        return [] if a is b else [f"{path}: {a} and {b}"]
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if one.shape != other.shape or not np.allclose(one, other, rtol=2e-2, atol=2e-3, equal_nan=True):
        return [f"{path}: {a} and {b}"]
    return []


def compare(seed):
    """ "ok", "refused: ..." or "differs: ...", and "fails: ..." if the eager run does not work either."""
    results = []
    for compiled in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                results.append(Program(seed).run(compiled))
            except Exception as error:
                message = f"{type(error).__name__}: {error}"
                return f"refused: {message}" if compiled else f"fails: {message}"
    found = differences(*results)
    return f"differs: {found[0][:300]}" if found else "ok"


def main():
    count, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    totals = {}
    gc.freeze()
    with unfused():
        for seed in range(first, first + count):
            outcome = compare(seed)
            kind = outcome.split(":")[0]
            totals[kind] = totals.get(kind, 0) + 1
            if kind != "ok" or (seed - first) % 500 == 499:
                print(seed, outcome, totals, flush=True)
    print(totals)


if __name__ == "__main__":
    main()
