"""Creation functions: shapes, dtypes, values, and invalid arguments."""

import numpy as np
import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("creation"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_shapes_in_every_spelling():
    for make in (lucid.zeros, lucid.ones, lucid.empty):
        assert make(2, 3).shape == make((2, 3)).shape == make([2, 3]).shape == (2, 3)
        assert make(()).shape == make().shape == make(size=()).shape == ()
        assert make(0, 2).shape == (0, 2)
        assert make(2, dtype="int8").dtype == lucid.int8


def test_numbers_keep_53_bits_in_float64(on_cpu):
    assert lucid.tensor([0.1], dtype=lucid.float64).item() == lucid.tensor(0.1, dtype=lucid.float64).item() == 0.1
    assert lucid.full((1,), 0.1, dtype=lucid.float64).item() == 0.1
    assert lucid.tensor(np.array([0.1]), dtype=lucid.float64).item() == 0.1
    for made, expected in (
        (lucid.linspace(0, 1, 7, dtype=lucid.float64), np.linspace(0, 1, 7)),
        (lucid.arange(0, 1, 0.1, dtype=lucid.float64), np.arange(10) * 0.1),
        (lucid.logspace(-2, 1, 6, dtype=lucid.float64), np.logspace(-2, 1, 6)),
    ):
        np.testing.assert_allclose(made.numpy(), expected, rtol=1e-15)


def test_integers_from_fractions_are_pytorch_s():
    assert lucid.arange(0.0, -8.000001, -4.0, dtype=lucid.int64).tolist() == [0, -4]
    assert lucid.arange(0.0, -8.000001, -4.0, dtype=lucid.int32).tolist() == [0, -4, -8]
    assert lucid.arange(0, 2, 0.5, dtype=lucid.int32).tolist() == [0, 0, 0, 0]
    assert lucid.arange(True).tolist() == [0]
    assert lucid.linspace(4.3, -3, 8, dtype=lucid.int64).tolist() == [4, 3, 2, 1, 0, -1, -2, -3]
    assert lucid.linspace(0, 10, 4, dtype=lucid.int32).tolist() == [0, 3, 6, 10]
    assert lucid.logspace(0, 1.2, 2, dtype=lucid.int64).tolist() == [1, 10]
    assert lucid.linspace(0, 2j, 3).tolist() == [0, 1j, 2j]


def test_values():
    assert lucid.zeros(2).tolist() == [0, 0] and lucid.ones(2).tolist() == [1, 1]
    assert lucid.full((2,), 7).dtype == lucid.int64 and lucid.full((2,), 7.0).dtype == lucid.float32
    assert lucid.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    x = lucid.ones(2, dtype=lucid.int32)
    assert lucid.zeros_like(x).dtype == lucid.int32 and lucid.full_like(x, 4).tolist() == [4, 4]
    assert lucid.ones_like(x, dtype=lucid.float16, requires_grad=True).requires_grad


@pytest.mark.parametrize("args", [(5,), (2, 9, 3), (0, 1, 0.1), (5, 0, -2), (3, 3), (0.5, 4), (-3, 3, 2), (1, 2, 0.25)])
def test_arange_agrees_with_numpy(args):
    expected = np.arange(*args)
    got = lucid.arange(*args)
    assert got.dtype == (lucid.int64 if expected.dtype.kind == "i" else lucid.float32)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)


def test_linspace_and_logspace():
    np.testing.assert_allclose(lucid.linspace(0, 1, 5).numpy(), [0, 0.25, 0.5, 0.75, 1])
    assert lucid.linspace(3, 4, 1).tolist() == [3] and lucid.linspace(3, 4, 0).shape == (0,)
    np.testing.assert_allclose(lucid.logspace(0, 2, 3).numpy(), [1, 10, 100], rtol=1e-6)


def test_an_array_is_read_only_while_a_tensor_made_from_it_lives():
    source = np.zeros(3, np.float32)
    t, other = lucid.from_numpy(source), lucid.from_numpy(source)
    view = t[1:]
    t[0] = 2  # does not reach the array
    assert source.tolist() == [0, 0, 0]
    del t, other
    with pytest.raises(ValueError, match="read-only"):
        source[0] = 1
    del view
    source[0] = 1
    source.flags.writeable = False
    lucid.from_numpy(source)
    assert not source.flags.writeable, "it was read-only before"


def test_as_tensor_keeps_tensors():
    t = lucid.ones(2)
    assert lucid.as_tensor(t) is t and lucid.as_tensor([1.0]).shape == (1,) and lucid.is_tensor(t)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: lucid.arange(0, 5, -1),
            ValueError,
            "arange: step -1 must lead from start 0 to end 5",
        ),
        (
            lambda: lucid.arange(0, 5, 0),
            ValueError,
            "arange: step 0 must lead from start 0 to end 5",
        ),
        (lambda: lucid.eye(-1), ValueError, "eye: n must be at least 0, got -1"),
        (lambda: lucid.eye(2, 0.5), TypeError, "eye: m must be an integer, got 0.5"),
        (lambda: lucid.arange("a"), TypeError, "arange: end must be a number, got 'a'"),
        (lambda: lucid.arange(float("nan")), ValueError, "arange: end must be a number, got nan"),
        (lambda: lucid.arange(0, float("inf")), ValueError, "arange: end must be finite, got inf"),
        (lambda: lucid.linspace(0, 1, 2.5), TypeError, "linspace: steps must be an integer, got 2.5"),
        (lambda: lucid.linspace("a", 1, 3), TypeError, "linspace: start must be a number, got 'a'"),
        (lambda: lucid.logspace(0, 1, -1), ValueError, "logspace: steps must be at least 0, got -1"),
        (lambda: lucid.full(2.5, 1), TypeError, "full: size must be an integer, got 2.5"),
        (lambda: lucid.full((2,), [1, 2, 3]), ValueError, r"full: shapes \(2,\) and \(3,\) cannot be broadcast"),
        (
            lambda: lucid.full((2,), [[1], [2]]),
            ValueError,
            r"full: fill_value of shape \(2, 1\) cannot be broadcast to size \(2,\)",
        ),
        (lambda: lucid.full_like(lucid.ones(2), [1, 2, 3]), ValueError, "full_like: shapes"),
        (lambda: lucid.tensor(2**70), ValueError, f"tensor: {2**70} does not fit in 64 bits"),
        (lambda: lucid.from_numpy([1]), TypeError, "from_numpy: expected a NumPy array, got list"),
        (lambda: lucid.zeros(2, dtype="float31"), TypeError, "dtype must be one of"),
        (lambda: lucid.linspace(0, 1, -1), ValueError, "linspace: steps must be at least 0, got -1"),
    ],
)
def test_invalid_arguments_raise(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_new_tensors_take_the_dtype_of_another():
    x = lucid.ones(2, dtype=lucid.float16)
    assert x.new_zeros(2, 3).tolist() == [[0] * 3] * 2 and x.new_ones((2,)).dtype == lucid.float16
    assert x.new_full((2,), 1.5).tolist() == [1.5, 1.5] and x.new_empty(0).shape == (0,)
    assert x.new_tensor([1, 2]).dtype == lucid.float16 and x.new_ones(1, dtype=lucid.int32).dtype == lucid.int32


def test_frombuffer_copies_the_values_of_bytes():
    data = bytearray(np.arange(6, dtype=np.float32).tobytes())
    x = lucid.frombuffer(data, dtype=lucid.float32, count=2, offset=8, requires_grad=True)
    data[:] = bytes(len(data))
    assert x.tolist() == [2, 3] and x.requires_grad
    assert lucid.frombuffer(b"\x00\x02\x01", dtype=lucid.bool_).tolist() == [False, True, True]
    assert lucid.frombuffer(np.arange(4), dtype=lucid.int64).tolist() == [0, 1, 2, 3]
    for given, message in (
        ({"buffer": b"12345", "dtype": lucid.int32}, "5 bytes from 0 on do not hold whole values of 4 bytes"),
        ({"buffer": b"1234", "dtype": lucid.int32, "count": 2}, "do not hold 2 values"),
        ({"buffer": b"", "dtype": lucid.int8}, "0 bytes"),
        ({"buffer": b"12", "dtype": lucid.int8, "offset": 3}, "2 bytes from 3 on"),
    ):
        with pytest.raises(ValueError, match=f"frombuffer: .*{message}"):
            lucid.frombuffer(**given)
    with pytest.raises(TypeError, match="frombuffer: buffer must have the buffer protocol, as bytes do, got int"):
        lucid.frombuffer(3, dtype=lucid.int8)


def test_asarray_copies_only_when_asked_or_needed():
    x = lucid.ones(2)
    assert lucid.asarray(x) is x and lucid.asarray(x, dtype=lucid.float32, copy=False) is x
    assert lucid.asarray(x, copy=True) is not x
    assert lucid.asarray([1, 2], dtype=lucid.int8, requires_grad=False).dtype == lucid.int8
    assert lucid.asarray(np.ones(2), requires_grad=True).requires_grad
    with pytest.raises(ValueError, match="asarray: copy=False needs a tensor of that dtype, got ndarray"):
        lucid.asarray(np.ones(2), copy=False)


def test_scalar_tensor():
    assert lucid.scalar_tensor(3).dtype == lucid.float32
    assert lucid.scalar_tensor(3, dtype="int8").item() == 3
