"""Laziness never leaks: a training loop that reads no values runs in constant memory."""

import io

import mlx.core as mx
import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import models, nn, optim

pytestmark = pytest.mark.usefixtures("settled")


class Net(nn.Module):
    """A model with state outside of the graph: running statistics, random masks, a drop path."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2))
        self.trunk = models.ConvNeXt(5, [1, 1], [4, 6], drop_path=0.5, layer_scale_init=0.1, in_chans=4, patch_size=2)

    def forward(self, x):
        return self.trunk(self.stem(x))


def test_300_steps_that_never_read_the_loss_keep_memory_flat():
    lucid.manual_seed(0)
    model = Net()
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
    rng = np.random.default_rng(0)
    first_loss, loss_sum, active = None, lucid.tensor(0.0), []
    for step in range(300):
        # A new batch each time, which an unevaluated graph would keep alive.
        images = lucid.tensor(rng.standard_normal((8, 3, 8, 8)).astype(np.float32))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), (images.mean(dim=(1, 2, 3)) > 0).long())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        loss_sum.copy_(0.9 * loss_sum + 0.1 * loss.detach())
        first_loss = loss.detach() if first_loss is None else first_loss
        if step >= 10:
            active.append(lucid.memory.active())
    # Keeping 290 batches would take 1.8 MB, and their graphs many times that. Some steps may still be running.
    assert max(active) < min(active[:40]) + 3_000_000
    assert abs(np.median(active[-50:]) - np.median(active[:50])) < 200_000
    assert loss_sum.item() < first_loss.item()


def test_a_loop_under_no_grad_keeps_memory_flat():
    model = Net().eval()
    active = []
    with lucid.no_grad():
        for _ in range(60):
            model(lucid.randn(8, 3, 8, 8)).sum().item()
            active.append(lucid.memory.active())
    assert max(active[10:]) - min(active[10:]) < 100_000


def test_training_without_an_optimizer_does_not_let_running_statistics_grow():
    model = nn.BatchNorm2d(3)
    active = []
    for _ in range(100):
        model(lucid.randn(8, 3, 16, 16))
        active.append(lucid.memory.active())
    assert max(active[50:]) < max(active[:50]) + 100_000


def operations_for(gradient):
    text = io.StringIO()
    mx.export_to_dot(text, gradient.mlx)
    return text.getvalue()


def test_parameter_gradients_are_computed_during_the_backward_pass():
    """Not at the end, which would keep their inputs alive until then; and not at all if nobody needs them."""
    w, x = (lucid.randn(4, 4, requires_grad=True) for _ in range(2))
    hidden = x.exp()
    (hidden @ w).sum().backward(retain_graph=True)
    assert "Depends" in operations_for(x.grad)
    (alone,) = lucid.autograd.grad((hidden @ w).sum(), x)
    assert "Depends" not in operations_for(alone)
    assert lucid.equal(alone, x.grad)


def peak_of_a_step(micro_batches):
    """Additional bytes of a step that accumulates gradients over so many micro-batches."""
    lucid.manual_seed(0)
    model = models.ConvNeXt(5, [6], [16], patch_size=1)
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    images = [lucid.randn(8, 3, 8, 8) for _ in range(micro_batches)]
    mx.eval([p.mlx for p in model.parameters()], [x.mlx for x in images])
    peaks = []
    for _ in range(2):  # the first one also compiles
        mx.synchronize()
        lucid.memory.clear_cache()
        lucid.memory.reset()
        before = lucid.memory.active()
        optimizer.zero_grad()
        for x in images:
            (model(x).square().mean() / micro_batches).backward()
        optimizer.step()
        mx.synchronize()
        peaks.append(lucid.memory.peak() - before)
    return peaks[-1]


def test_accumulating_micro_batches_needs_the_memory_of_one():
    one = peak_of_a_step(1)
    assert peak_of_a_step(4) < 1.25 * one
    assert peak_of_a_step(12) < 1.25 * one


# Statistics that a user's own model keeps --------------------------------------------------------------------------


class Keeper(nn.Module):
    def __init__(self, keep):
        super().__init__()
        self.hidden, self.head = nn.Linear(64, 64), nn.Linear(64, 3)
        self.register_buffer("center", lucid.zeros(64))
        self.register_buffer("total", lucid.tensor(0.0))
        self.plain, self.queue = lucid.zeros(64), {"last": lucid.zeros(64)}
        self.keep = keep

    def forward(self, x):
        h = self.hidden(x).relu()
        self.keep(self, h.detach().mean(0))
        return self.head(h)


def assign(self, mean):
    self.center = self.center * 0.9 + mean * 0.1


def assign_plain(self, mean):
    self.plain = self.plain * 0.9 + mean * 0.1


def assign_data(self, mean):
    self.center.data = self.center * 0.9 + mean * 0.1


def assign_items(self, mean):
    self.center[:32] = self.center[:32] * 0.9 + mean[:32] * 0.1


def assign_in_a_dictionary(self, mean):
    self.queue["last"] = self.queue["last"] * 0.9 + mean * 0.1


def sum_up(self, mean):
    self.total = self.total + mean.sum()


KEPT = {
    "in place": lambda self, mean: self.center.mul_(0.9).add_(mean * 0.1),
    "copy_": lambda self, mean: self.center.copy_(self.center * 0.9 + mean * 0.1),
    "lerp_": lambda self, mean: self.center.lerp_(mean, 0.1),
    "data in place": lambda self, mean: self.center.data.mul_(0.9).add_(mean * 0.1),
    "buffer": assign,
    "data": assign_data,
    "items": assign_items,
    "sum": sum_up,
    "attribute": assign_plain,
    "dictionary": assign_in_a_dictionary,
}


def memory_of_a_run(keep, compiled, steps=500):
    """Active memory after each step, from the 20th on."""
    lucid.manual_seed(0)
    model, rng, active = Keeper(keep), np.random.default_rng(0), []
    optimizer = optim.SGD(model.parameters(), lr=1e-3)

    def step(x):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()

    if compiled:
        step = lucid.compile(step, state=[model, optimizer])
    batch = rng.standard_normal((32, 64)).astype(np.float32)
    for i in range(steps):
        step(lucid.tensor(batch))
        if i >= 20:
            active.append(lucid.memory.active())
    mx.synchronize()
    return active


@pytest.mark.parametrize("name", KEPT)
def test_statistics_of_ones_own_keep_memory_flat(name):
    active = memory_of_a_run(KEPT[name], compiled=False)
    # The activations of 480 steps would take 4 to 12 MB. Some steps may still be running.
    assert abs(np.median(active[-50:]) - np.median(active[:50])) < 300_000
    assert max(active[-50:]) < max(active[:50]) + 1_000_000


@pytest.mark.parametrize("name", [name for name in KEPT if name not in ("attribute", "dictionary")])
def test_statistics_of_ones_own_keep_memory_flat_in_a_compiled_step(name):
    active = memory_of_a_run(KEPT[name], compiled=True)
    assert abs(np.median(active[-50:]) - np.median(active[:50])) < 300_000


def test_initial_values_stay_lazy():
    mx.synchronize()
    before = lucid.memory.active()
    model = nn.Sequential(*(nn.Linear(256, 256) for _ in range(300)))
    mx.synchronize()
    assert lucid.memory.active() < before + 10_000_000, "all of them would take 79 MB"
    assert len(model) == 300


def test_a_loop_without_steps_evaluates_what_it_keeps():
    total, active, batch = lucid.tensor(0.0), [], np.ones((64, 64), np.float32)
    for _ in range(1500):
        total = total + lucid.tensor(batch).mean()
        active.append(lucid.memory.active())
    mx.synchronize()
    assert max(active[-300:]) < max(active[:600]) + 3_000_000  # all batches take 25 MB
    assert total.item() == 1500
