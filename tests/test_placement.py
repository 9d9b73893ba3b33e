"""Devices, layouts and memory formats are checked wherever a tensor is made, and have no effect."""

import copy
import functools
import pickle

import pytest

import lucid

X = lucid.ones(2, 3)
CREATE = {
    "zeros": lambda **kw: lucid.zeros(2, 3, **kw),
    "ones": lambda **kw: lucid.ones(2, 3, **kw),
    "empty": lambda **kw: lucid.empty(2, 3, **kw),
    "full": lambda **kw: lucid.full((2, 3), 1.0, **kw),
    "eye": lambda **kw: lucid.eye(3, **kw),
    "arange": lambda **kw: lucid.arange(3.0, **kw),
    "linspace": lambda **kw: lucid.linspace(0, 1, 3, **kw),
    "logspace": lambda **kw: lucid.logspace(0, 1, 3, **kw),
    "rand": lambda **kw: lucid.rand(2, 3, **kw),
    "randn": lambda **kw: lucid.randn(2, 3, **kw),
    "randint": lambda **kw: lucid.randint(5, (2, 3), **kw),
    "randperm": lambda **kw: lucid.randperm(3, **kw),
    "normal": lambda **kw: lucid.normal(0.0, 1.0, (2, 3), **kw),
}
LIKE = {
    name: functools.partial(getattr(lucid, name), X)
    for name in ("zeros_like", "ones_like", "empty_like", "rand_like", "randn_like")
} | {"full_like": lambda **kw: lucid.full_like(X, 2.0, **kw)}
NEW = {
    "new_zeros": lambda **kw: X.new_zeros(2, 3, **kw),
    "new_ones": lambda **kw: X.new_ones((2, 3), **kw),
    "new_empty": lambda **kw: X.new_empty(size=(2, 3), **kw),
    "new_full": lambda **kw: X.new_full((2, 3), 1.0, **kw),
}
ALL = CREATE | LIKE | NEW


@pytest.mark.parametrize("name", ALL)
def test_pytorch_s_arguments_are_accepted(name):
    made = ALL[name](dtype=lucid.float16, layout=lucid.strided, device="cpu", pin_memory=False, requires_grad=True)
    assert made.dtype == lucid.float16 and made.requires_grad and made.is_leaf
    assert not ALL[name](layout=None, device=lucid.device("cpu"), pin_memory=None, requires_grad=None).requires_grad


@pytest.mark.parametrize("name", ALL)
def test_what_does_not_exist_raises(name):
    for named, error, message in (
        ({"device": "tpu"}, RuntimeError, f"{name}: device must be one of .*, got 'tpu'"),
        ({"device": "meta"}, RuntimeError, f"{name}: device 'meta' is not available here"),
        ({"device": 3.5}, TypeError, "device: expected a name"),
        ({"layout": 3}, TypeError, f"{name}: layout must be lucid.strided, got 3"),
    ):
        with pytest.raises(error, match=message):
            ALL[name](**named)


@pytest.mark.parametrize("name", CREATE)
def test_out_is_refused_by_name(name):
    assert CREATE[name](out=None).numel()
    with pytest.raises(TypeError, match=f"{name}: out= is not supported; use the tensor that {name} returns"):
        CREATE[name](out=lucid.ones(2, 3))


@pytest.mark.parametrize(
    ("name", "use"),
    [(name, ALL[name]) for name in ("rand", "randn", "randint", "randperm", "normal", "rand_like", "randn_like")]
    + [
        ("bernoulli", lambda **kw: lucid.bernoulli(X / 2, **kw)),
        ("multinomial", lambda **kw: lucid.multinomial(X, 2, **kw)),
    ],
)
def test_generators_are_refused_by_name(name, use):
    assert use(generator=None).numel()
    with pytest.raises(TypeError, match=f"{name}: generator must be a lucid.Generator, got int"):
        use(generator=1)


@pytest.mark.parametrize("name", LIKE)
def test_memory_formats_are_checked(name):
    assert LIKE[name](memory_format=lucid.preserve_format).shape == (2, 3)
    with pytest.raises(RuntimeError, match=f"{name}: lucid.channels_last needs a tensor with 4 dimensions, got 2"):
        LIKE[name](memory_format=lucid.channels_last)
    with pytest.raises(TypeError, match=f"{name}: memory_format must be a lucid.memory_format, got 3"):
        LIKE[name](memory_format=3)


def test_other_functions_take_a_device():
    assert lucid.tensor([1.0], device="cpu", pin_memory=True).tolist() == [1]
    assert lucid.as_tensor([1.0], device="cpu").tolist() == X.new_tensor([1], device="cpu").tolist() == [1]
    for use in (lucid.tensor, lucid.as_tensor, X.new_tensor):
        with pytest.raises(RuntimeError, match=f"{use.__name__}: device 'meta' is not available here"):
            use([1.0], device="meta")


def test_constants():
    assert repr(lucid.channels_last) == "lucid.channels_last" and isinstance(lucid.strided, lucid.layout)
    for one in (lucid.strided, lucid.preserve_format):
        assert copy.deepcopy(one) is one and pickle.loads(pickle.dumps(one)) is one  # noqa: S301
