import mlx.core as mx
import numpy as np
import pytest

from lucid import _checks as checks


def refused(error, message):
    return pytest.raises(error, match=f"^{message}$")


def test_integer_accepts_integers_only():
    assert checks.integer("f", "n", np.int64(3)) == 3
    assert checks.integer("f", "n", 0, minimum=0) == 0
    with refused(ValueError, r"Conv2d: stride must be at least 1, got 0"):
        checks.integer("Conv2d", "stride", 0, minimum=1)
    for wrong in (1.0, "1", None, True):
        with refused(TypeError, rf"f: n must be an integer, got {wrong!r}"):
            checks.integer("f", "n", wrong)


def test_pair_from_one_and_from_two():
    assert checks.pair("f", "k", 3) == (3, 3)
    assert checks.pair("f", "k", [1, 2], minimum=1) == (1, 2)
    assert checks.tuple_of("f", "k", (1, 2, 3), 3) == (1, 2, 3)
    with refused(ValueError, r"f: k must be an integer or a tuple of 2, got \(1, 2, 3\)"):
        checks.pair("f", "k", (1, 2, 3))
    with refused(ValueError, r"f: k must be at least 1, got -2"):
        checks.pair("f", "k", (1, -2), minimum=1)
    with refused(TypeError, r"f: k must be an integer, got 'same'"):
        checks.pair("f", "k", "same")


def test_number_and_its_bounds():
    assert checks.number("f", "lr", 0) == 0.0
    assert checks.probability("f", "p", np.float32(0.5)) == 0.5
    with refused(ValueError, r"f: p must be at least 0 and at most 1, got 1\.5"):
        checks.probability("f", "p", 1.5)
    with refused(ValueError, r"f: eps must be above 0, got 0"):
        checks.number("f", "eps", 0, minimum=0, above=True)
    with refused(ValueError, r"f: lr must be a number, got nan"):
        checks.number("f", "lr", float("nan"))
    with refused(TypeError, r"f: lr must be a number, got '0\.1'"):
        checks.number("f", "lr", "0.1")


def test_one_of_and_divisible():
    assert checks.one_of("f", "reduction", "mean", ("mean", "sum")) == "mean"
    with refused(ValueError, r"f: reduction must be 'none', 'mean' or 'sum', got 'avg'"):
        checks.one_of("f", "reduction", "avg", ("none", "mean", "sum"))
    assert checks.divisible("f", "in_channels", 8, "groups", 4) == 8
    with refused(ValueError, r"Conv2d: in_channels 6 must be divisible by groups 4"):
        checks.divisible("Conv2d", "in_channels", 6, "groups", 4)


def test_dims_count_from_both_ends():
    assert [checks.dim("f", one, 3) for one in (0, 2, -1, -3)] == [0, 2, 2, 0]
    assert checks.dim("f", -1, 0) == 0
    assert checks.dims("f", None, 3) == (0, 1, 2)
    assert checks.dims("f", (-1, 0), 3) == (2, 0)
    assert checks.dims("f", 1, 3) == (1,)
    for error in (IndexError, ValueError):
        with refused(error, r"softmax: dim must be in \[-3, 2\] for 3 dimensions, got 3"):
            checks.dim("softmax", 3, 3)
    with refused(ValueError, r"sum: dim contains a dimension twice, got \(0, -2\) for 2 dimensions"):
        checks.dims("sum", (0, -2), 2)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (mx.float16, mx.float16),
        ("bfloat16", mx.bfloat16),
        ("half", mx.float16),
        ("long", mx.int64),
        (np.float32, mx.float32),
        (np.dtype("uint8"), mx.uint8),
        (np.bool_, mx.bool_),
        (float, mx.float32),
        (int, mx.int64),
        (bool, mx.bool_),
        ("torch.int32", mx.int32),
    ],
)
def test_dtype_by_many_names(value, wanted):
    assert checks.dtype("f", value) == wanted


@pytest.mark.parametrize("value", ["float8", None, 32, np.dtype("datetime64[s]"), str])
def test_an_unknown_dtype_raises(value):
    with pytest.raises(TypeError, match=r"^f: dtype must be one of float32, float16, .*, got "):
        checks.dtype("f", value)


def test_dtype_name_reads_back():
    for name in checks._DTYPES:
        assert checks.dtype_name(checks.dtype("f", name)) == name


def test_shape_from_both_spellings():
    assert checks.shape("zeros", (2, 3)) == checks.shape("zeros", ((2, 3),)) == (2, 3)
    assert checks.shape("zeros", ()) == checks.shape("zeros", ((),)) == ()
    with refused(ValueError, r"zeros: size must be at least 0, got -1"):
        checks.shape("zeros", (2, -1))


def test_rank_names_the_layout():
    checks.rank("f", "x", (1, 2, 3, 4), 4)
    with refused(ValueError, r"Conv2d: x must have 3 or 4 dimensions \(N, C, H, W\), got \(8, 3\)"):
        checks.rank("Conv2d", "x", (8, 3), (3, 4), "(N, C, H, W)")


@pytest.mark.parametrize("shapes", [[(2, 1), (3,)], [(0,), (1,)], [(1, 0), (4, 1)], [()], [], [(5,), (), (2, 1, 1)]])
def test_broadcast_shapes_like_numpy(shapes):
    assert checks.broadcast_shapes("f", *shapes) == np.broadcast_shapes(*shapes)


@pytest.mark.parametrize("shapes", [[(2,), (3,)], [(0,), (2,)], [(2, 3), (3, 2)]])
def test_shapes_that_do_not_broadcast_are_listed(shapes):
    with pytest.raises(
        ValueError, match=r"^add: shapes \(.*\) and \(.*\) cannot be broadcast together: \d and \d in dim \d$"
    ):
        checks.broadcast_shapes("add", *shapes)


@pytest.mark.parametrize(
    ("shape", "data_format", "spatial", "order"),
    [
        ((2, 8, 9, 3), "channels_first", 2, (0, 3, 1, 2)),
        ((8, 9, 3), "channels_first", 2, (2, 0, 1)),
        ((2, 9, 3), "channels_first", 1, (0, 2, 1)),
        ((2, 3, 8, 9), "channels_last", 2, (0, 2, 3, 1)),
        ((3, 8, 9), "channels_last", 2, (1, 2, 0)),
        ((2, 4, 8, 9), "channels_first", 2, None),
        ((2, 3, 8, 3), "channels_first", 2, None),
        ((1, 2, 8, 9, 3), "channels_first", 2, None),
    ],
)
def test_the_layout_hint_permutes_channels_to_where_they_belong(shape, data_format, spatial, order):
    hint = checks.layout_hint(shape, 3, data_format, spatial)
    assert hint.endswith(f"has the channels, use .permute{order}") if order else hint == ""
    if order:
        moved = [shape[i] for i in order]
        assert moved[-1 if data_format == "channels_last" else len(shape) - 1 - spatial] == 3
