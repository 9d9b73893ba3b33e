"""Random tensors: distributions, seeds, states, and wrong arguments."""

import numpy as np
import pytest

import lucid


def test_equal_seeds_give_equal_numbers_and_draws_differ():
    lucid.manual_seed(3)
    a, b = lucid.randn(4), lucid.randn(4)
    lucid.random.manual_seed(3)
    assert lucid.randn(4).tolist() == a.tolist() != b.tolist()
    assert lucid.initial_seed() == 3


def test_a_state_can_be_kept_and_a_fork_leaves_it_alone():
    state = lucid.random.get_state()
    first = lucid.rand(3).tolist()
    lucid.random.set_state(state)
    assert lucid.rand(3).tolist() == first
    lucid.random.set_state(state)
    with lucid.random.fork():
        lucid.rand(100)
    assert lucid.rand(3).tolist() == first


def test_moments():
    lucid.manual_seed(0)
    n = lucid.randn(100_000).numpy()
    assert abs(n.mean()) < 0.02 and abs(n.std() - 1) < 0.02
    u = lucid.rand(100_000).numpy()
    assert 0 <= u.min() and u.max() < 1 and abs(u.mean() - 0.5) < 0.01
    v = lucid.random.uniform(-2.0, 6.0, (100_000,)).numpy()
    assert v.min() >= -2 and v.max() < 6 and abs(v.mean() - 2) < 0.05
    w = lucid.normal(lucid.tensor([0.0, 100.0]), lucid.tensor([1.0, 2.0])).numpy()
    assert w.shape == (2,) and abs(w[1] - 100) < 20
    b = lucid.bernoulli(lucid.full((50_000,), 0.3)).numpy()
    assert set(np.unique(b)) == {0.0, 1.0} and abs(b.mean() - 0.3) < 0.02


def test_integers_and_permutations():
    i = lucid.randint(2, 7, (10_000,))
    assert i.dtype == lucid.int64 and set(i.tolist()) == {2, 3, 4, 5, 6}
    assert set(lucid.randint(3, (1000,)).tolist()) == {0, 1, 2}
    assert sorted(lucid.randperm(50).tolist()) == list(range(50))
    rows = lucid.permutation(lucid.arange(12).reshape(6, 2)).tolist()
    assert sorted(rows) == [[2 * k, 2 * k + 1] for k in range(6)]


def test_multinomial():
    p = lucid.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    drawn = lucid.multinomial(p, 100, replacement=True)
    assert drawn.shape == (2, 100)
    assert set(drawn[0].tolist()) == {1} and set(drawn[1].tolist()) == {0, 2}
    assert sorted(lucid.multinomial(lucid.ones(5), 5).tolist()) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="4 samples without replacement from 3"):
        lucid.multinomial(p, 4)


def test_shapes_dtypes_and_gradients():
    assert lucid.randn(2, 3).shape == lucid.randn((2, 3)).shape == lucid.randn([2, 3]).shape == (2, 3)
    assert lucid.rand(2, dtype=lucid.float16).dtype == lucid.float16
    assert lucid.randn(2, requires_grad=True).requires_grad
    assert lucid.randn(0, 3).shape == (0, 3)
    assert lucid.randn_like(lucid.zeros(2, dtype=lucid.bfloat16)).dtype == lucid.bfloat16


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lucid.manual_seed(1.5), TypeError, "seed must be an integer, got float"),
        (lambda: lucid.randn(2, -1), ValueError, "size"),
        (lambda: lucid.randn(2.5), TypeError, "size"),
        (lambda: lucid.randn(2, dtype=lucid.int32), TypeError, "floating point, got int32"),
        (lambda: lucid.randint(5, 5, (2,)), ValueError, r"low < high, got \[5, 5\)"),
        (lambda: lucid.random.set_state([1, 2, 3]), ValueError, "get_state"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
