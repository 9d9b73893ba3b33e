import numpy as np
import pytest

import lucid
from lucid.optim import Muon


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (16, 16)])
def test_the_update_is_nearly_orthogonal(shape):
    """Its singular values are close to 1, up to the scale of the adjustment."""
    p = lucid.zeros(*shape).requires_grad_()
    p.grad = lucid.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    Muon([p], lr=1.0, weight_decay=0.0).step()
    update = p.detach().numpy() / np.sqrt(max(1, shape[0] / shape[1]))
    found = np.linalg.svd(update, compute_uv=False)
    assert (found > 0.3).all() and (found < 1.3).all()


def test_zero_gradients_change_nothing():
    p = lucid.ones(2, 3).requires_grad_()
    p.grad = lucid.zeros(2, 3)
    Muon([p], weight_decay=0.0).step()
    assert p.tolist() == [[1] * 3] * 2


def test_a_matrix_added_later_is_checked_too():
    optimizer = Muon([lucid.zeros(2, 2).requires_grad_()])
    with pytest.raises(ValueError, match=r"Muon: group 1: parameter 0 must have 2 dimensions, got \(4, 3, 3, 3\)"):
        optimizer.add_param_group({"params": [lucid.zeros(4, 3, 3, 3).requires_grad_()]})
