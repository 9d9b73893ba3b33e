"""After an exception anywhere in a trace, everything is as it was before the call."""

import inspect
import sys
from pathlib import Path

import pytest

import lucid
import lucid.nn.functional as F
from lucid import metrics, nn, optim
from tests._compile.steps import batches, everything, small_model

PACKAGE = str(Path(lucid.__file__).parent)
COMPILER = str(Path(PACKAGE) / "_compile")
PLACES = 25


class Injected(BaseException):
    """Like KeyboardInterrupt. Exceptions of the function in the backward pass wait for the user's ``backward()``."""


class Run:
    """A step that changes every kind of state there is."""

    def __init__(self):
        self.model = nn.Sequential(small_model(), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 3))
        self.model[1].register_buffer("center", lucid.zeros(3))
        self.optimizer = optim.AdamW(self.model.parameters(), lr=0.1)
        self.ema, self.mean_loss = optim.EMA(self.model, 0.9), metrics.MeanMetric()
        self.scaler = lucid.amp.GradScaler(init_scale=4.0)
        self.step = lucid.compile(self.eager, state=[self.model, self.optimizer, self.ema, self.mean_loss, self.scaler])

    def eager(self, x, y):
        self.optimizer.zero_grad()
        handle = self.model[0].register_forward_hook(lambda module, args, out: out * 2)
        self.model[0].weight.register_hook(lambda g: g)
        self.model.train()
        with lucid.autocast(dtype=lucid.bfloat16):
            h = self.model[:3](x)
        self.model[1].center.mul_(0.9).add_(h.detach().float().mean(0))
        loss = F.cross_entropy(self.model[3](h.float()), y)
        self.scaler.scale(loss).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.ema.update()
        self.mean_loss.update(loss.detach(), 1)
        handle.remove()
        return self.model(x).sum()

    def everything(self):
        return {
            **everything(self.model, self.optimizer),
            "ids": [id(t) for t in (*self.model.parameters(), *(p.grad for p in self.model.parameters()))],
            "hooks": [len(m._forward_hooks) for m in self.model.modules()],
            "parameter hooks": [len(p._hooks or ()) for p in self.model.parameters()],
            "training": [m.training for m in self.model.modules()],
            "others": [t.tolist() for one in (self.ema, self.mean_loss, self.scaler) for t in one.state_tensors()],
            "scaler": (dict(self.scaler._progress), self.optimizer._step_calls, len(self.optimizer.state)),
            "modes": (lucid.is_grad_enabled(), lucid._precision.autocast_dtype()),
        }


def inside_a_trace(frame):
    """Whether ``frame`` belongs to the user's function or to what it calls."""
    while frame is not None:
        if frame.f_code.co_name == "_trace":
            return True
        frame = frame.f_back
    return False


def call_and_fail(call, at):
    """Call, raising ``Injected`` at the Python call number ``at`` of the trace, or after it; returns their number."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        file = frame.f_code.co_filename
        generator = frame.f_code.co_flags & inspect.CO_GENERATOR  # closing one cannot raise
        callback = file.endswith("_deferred.py") and frame.f_code.co_name in ("<lambda>", "_forget")  # nor these
        ignored = generator or callback or file.startswith(COMPILER)
        if file.startswith(PACKAGE) and not ignored and inside_a_trace(frame):
            count += 1
            if count == at:
                raise Injected
        if frame.f_code.co_name == "_write_back":  # MLX would take long to build the kernels
            raise Injected

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with pytest.raises(Injected):
            call()
    finally:
        sys.settrace(before)
    return count


def prepared(trained):
    run, batch = Run(), batches(1)[0]
    for _ in range(2 if trained else 0):
        run.eager(*batch)
    return run, lambda: run.step(*batch), lambda: run.eager(*batch).item()


@pytest.fixture(scope="module", params=[False, True], ids=["first step", "trained"])
def places(request):
    """Whether the optimizer has a state, the number of places, and the result of the step."""
    _, call, _ = prepared(request.param)
    return request.param, call_and_fail(call, -1), prepared(request.param)[2]()


@pytest.mark.filterwarnings("ignore:.*the hooks of .* changed from .* inside")
@pytest.mark.parametrize("place", range(PLACES))
def test_everything_is_as_before(places, place):
    trained, total, result = places
    run, call, eager = prepared(trained)
    before = run.everything()
    assert call_and_fail(call, 1 + place * int(0.99 * total) // (PLACES - 1)) <= total
    assert run.everything() == before
    assert eager() == result, "the same objects still train"
