"""Errors of MLX and Python inside an operation become errors of Lucid's; all others pass unchanged."""

import mlx.core as mx
import pytest

import lucid
from lucid import _checks, _errors
from lucid.tape import op


@op
def faulty(x, what, *, scale=1.0):
    if what == "mlx value":
        return mx.matmul(x, mx.ones((5, 5)))
    if what == "mlx type":
        return mx.sum(x, axis="a")
    if what == "mlx dtype":
        return mx.ceil(x.astype(mx.complex64))
    if what == "python":
        return x.shape[7]
    if what == "own":
        raise ValueError("faulty: x is wrong")
    if what == "other":
        raise OSError("disk full")
    return x * scale


CALLED = r"^faulty: cannot be computed for \(float32 \(2, 3\), '{}', scale=0.5\)$"


@pytest.fixture
def here(monkeypatch):
    """Treat this file as one of Lucid's."""
    monkeypatch.setattr(_errors, "_PACKAGES", _errors.re.compile("test_errors.py$"))


@pytest.mark.parametrize(
    ("what", "kind", "cause"),
    [
        ("mlx value", _checks.ArgumentError, ValueError),
        ("mlx type", _checks.DtypeError, TypeError),
        ("mlx dtype", _checks.DtypeError, ValueError),
        ("python", _checks.ArgumentError, IndexError),
    ],
)
def test_foreign_errors_name_the_operation_and_its_arguments(here, what, kind, cause):
    with pytest.raises(kind, match=CALLED.format(what)) as caught:
        faulty(lucid.ones(2, 3), what, scale=0.5)
    assert type(caught.value.__cause__) is cause


def test_own_errors_and_those_of_the_system_pass(here):
    with pytest.raises(ValueError, match="^faulty: x is wrong$"):
        faulty(lucid.ones(2, 3), "own")
    with pytest.raises(OSError, match="^disk full$"):
        faulty(lucid.ones(2, 3), "other")


def test_errors_of_a_users_code_pass():
    with pytest.raises(IndexError, match="tuple index out of range"):
        faulty(lucid.ones(2, 3), "python")


def test_an_integer_beyond_64_bits():
    with pytest.raises(RuntimeError, match=r"^mul: cannot be computed for \(float32 \(2,\), 1180591620717411303424\)$"):
        lucid.ones(2) * 2**70
    with pytest.raises(RuntimeError, match=r"^zeros: size must fit in 64 bits, got 1180591620717411303424$"):
        lucid.zeros(2**70)
    with pytest.raises(RuntimeError, match=r"^zeros: a tensor of shape \(2147483648,\) is too large$"):
        lucid.zeros(2**31)


def test_parts_of_unequal_shapes_are_named():
    with pytest.raises(ValueError, match=r"^sin: the parts of input must have equal shapes, got \(1,\) and \(2,\)$"):
        lucid.sin([[1.0], [1.0, 2.0]])
