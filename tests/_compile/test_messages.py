"""Reading a value inside a compiled function raises an error with the line and the fix, and changes nothing."""

import re
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import nn, optim
from tests._compile.steps import batches, everything, small_model

RETURN = "Return the tensor and read it outside the compiled function."
BRANCH = (
    "Use lucid.where(condition, a, b), or pass the condition as a Python argument; the function is then retraced for "
    "each value."
)
OUTSIDE = "Call it outside, on the result of the compiled function."
BRANCHES = "a Python branch (if, while, and, or, not) reads the value of a tensor"


def clip(loss):
    other = loss.detach()
    other.grad = loss
    nn.utils.clip_grad_norm_(other, 1.0, error_if_nonfinite=True)


def branch(loss):
    if loss > 0:
        return 1
    return 2


@pytest.mark.parametrize(
    ("read", "what", "fix"),
    [
        (lambda loss: loss.item(), "item() reads the value of a tensor", RETURN),
        (lambda loss: loss.tolist(), "tolist() reads the value of a tensor", RETURN),
        (lambda loss: loss.detach().numpy(), "numpy() reads the value of a tensor", RETURN),
        (lambda loss: np.asarray(loss.detach()), "conversion to NumPy reads the value of a tensor", RETURN),
        (lambda loss: print(loss), "print or repr() reads the value of a tensor", RETURN),
        (lambda loss: f"{loss:.3f}", "formatting reads the value of a tensor", RETURN),
        (lambda loss: float(loss), "float() reads the value of a tensor", RETURN),
        (lambda loss: int(loss), "int() reads the value of a tensor", RETURN),
        (lambda loss: [1, 2][loss.long()], "indexing with it reads the value of a tensor", RETURN),
        (lambda loss: loss.mlx.item(), "this line reads the value of a tensor", RETURN),
        (lambda loss: mx.eval(loss.mlx), "this line reads the value of a tensor", RETURN),
        (branch, BRANCHES, BRANCH),
        (lambda loss: loss and 1, BRANCHES, BRANCH),
        (
            lambda loss: loss.reshape(1).nonzero(),
            "nonzero() needs the values of a tensor, for the shape of its result or a check",
            OUTSIDE,
        ),
        (clip, "clip_grad_norm_() needs the values of a tensor, for the shape of its result or a check", OUTSIDE),
    ],
)
def test_reading_a_value_is_explained_and_changes_nothing(read, what, fix):
    model = nn.Sequential(small_model(), nn.BatchNorm1d(3), nn.Dropout(0.5))
    optimizer = optim.AdamW(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        read(loss)
        return loss

    x, y = batches(1)[0]
    before = everything(model, optimizer)
    with pytest.raises(RuntimeError) as found:
        lucid.compile(step, state=[model, optimizer])(x, y)
    first, line, advice = str(found.value).split("\n")
    place = re.escape(f"compile(step): {__file__}, line ") + r"\d+: "
    assert re.match(place + re.escape(f"{what}, which has no value while the function is traced") + "$", first), first
    assert line.strip() and advice == fix
    assert everything(model, optimizer) == before
    assert len(optimizer.state) == 0 and optimizer._step_calls == 0
    assert step(x, y).requires_grad, "the same objects still train"


def test_the_message_shows_the_users_line():
    def step(x):
        y = x * 2
        return y.sum().item()  # this very line

    with pytest.raises(RuntimeError) as found:
        lucid.compile(step)(lucid.ones(2))
    shown = "return y.sum().item()  # this very line"
    number = next(i for i, text in enumerate(Path(__file__).read_text().splitlines(), 1) if text.strip() == shown)
    assert f"line {number}: item()" in str(found.value) and f"\n    {shown}\n" in str(found.value)


def test_a_failed_retrace_leaves_all_state_unchanged():
    """Including a trained optimizer, gradients, tracked buffers and the random key."""
    model = nn.Sequential(small_model(), nn.BatchNorm1d(3), nn.Dropout(0.5))
    optimizer = optim.AdamW(model.parameters(), lr=0.1)

    @lucid.compile(state=[model, optimizer])
    def step(x, y, read=False):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item() if read else loss

    for x, y in batches(3):
        step(x, y)
    before = everything(model, optimizer)
    gradients = [p.grad for p in model.parameters()]
    moments = [id(t) for t in optimizer.state_tensors()]
    with pytest.raises(RuntimeError, match="item"):
        step(x, y, read=True)
    assert everything(model, optimizer) == before
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))
    assert [id(t) for t in optimizer.state_tensors()] == moments
    assert np.isfinite(step(x, y).item()) and step.retraces.count == 0


def test_constants_can_be_read_inside():
    half = lucid.tensor(0.5)

    @lucid.compile
    def scaled(x):
        return x * half.item()

    assert scaled(lucid.ones(2)).tolist() == [0.5, 0.5]
