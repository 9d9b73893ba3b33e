"""``vmap``: random numbers, what MLX cannot vectorize, and wrong calls."""

import pytest

import lucid
from lucid.nn import functional as F


def test_random_numbers():
    x = lucid.ones(64)
    lucid.manual_seed(0)
    with pytest.raises(RuntimeError, match="vmap: random numbers were drawn, and randomness is 'error'"):
        lucid.vmap(lambda v: F.dropout(v, 0.5))(x.reshape(4, 16))
    same = lucid.vmap(lambda v: F.dropout(v, 0.5), randomness="same")(x.reshape(4, 16))
    assert lucid.equal(same, same[:1].expand(4, 16))
    different = lucid.vmap(lambda v: F.dropout(v, 0.5), randomness="different")(x.reshape(4, 16))
    assert not lucid.equal(different, different[:1].expand(4, 16))


def test_a_function_that_reads_values_runs_once_per_sample():
    x = lucid.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = lucid.vmap(lambda v: v * 2 if v.item() > 0 else v**2)(x)
    assert y.tolist() == [2, 4, 6]
    y.sum().backward()
    assert x.grad.tolist() == [2, -4, 2]


def test_a_parameter_of_the_outside_gets_its_gradient():
    w, x = lucid.tensor(3.0, requires_grad=True), lucid.tensor([1.0, 2.0])
    lucid.vmap(lambda v: v * w.square())(x).sum().backward()
    assert w.grad.item() == 18


def test_a_value_computed_outside_is_not_counted_twice():
    w, x = lucid.tensor(3.0, requires_grad=True), lucid.tensor([1.0, 2.0])
    square = w.square()
    lucid.vmap(lambda v: v * square * w)(x).sum().backward()
    assert w.grad.item() == 81


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: lucid.vmap(lucid.sin)(), "vmap: batch dimensions must have one size, no argument has one"),
        (lambda x: lucid.vmap(lucid.add)(x, x[:1]), r"vmap: batch dimensions must have one size, got \[1, 2\]"),
        (lambda x: lucid.vmap(lucid.add, in_dims=(0,))(x, x), r"vmap: in_dims \(0,\) does not fit 2 arguments"),
        (lambda x: lucid.vmap(lambda v: 1)(x), "vmap: func must return tensors, got int"),
        (lambda x: lucid.vmap(lucid.sin)(x[0, 0]), "vmap: in_dims has 0 for a tensor without dimensions"),
        (lambda x: lucid.vmap(lucid.sin, randomness="no"), "vmap: randomness must be"),
    ],
)
def test_wrong_calls_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call(lucid.ones(2, 3))
