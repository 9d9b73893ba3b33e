"""Small training steps that tests run both eagerly and compiled."""

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import nn, optim


def batches(count, size=4, features=3, classes=3):
    rng = np.random.default_rng(0)
    return [
        (
            lucid.tensor(rng.standard_normal((size, features)).astype(np.float32)),
            lucid.tensor(rng.integers(0, classes, size)),
        )
        for _ in range(count)
    ]


def small_model(features=3, classes=3):
    lucid.manual_seed(3)
    return nn.Linear(features, classes)


def small_step(model=None, optimizer=None):
    """``(model, optimizer, step)`` of a linear classifier with AdamW."""
    model = model or small_model()
    optimizer = optimizer or optim.AdamW(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


def everything(model, optimizer):
    """All values of a training run as nested lists, for comparison."""
    state = optimizer.state_dict()["state"]
    return {
        "model": {name: tensor.tolist() for name, tensor in model.state_dict().items()},
        "gradients": [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
        "optimizer": {i: {name: tensor.tolist() for name, tensor in one.items()} for i, one in state.items()},
        "rates": [group.lr_tensor.item() for group in optimizer.param_groups],
        "key": lucid.random.get_state().tolist(),
    }
