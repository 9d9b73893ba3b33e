"""Generators, and the methods that draw random numbers: reproducible, and of the distributions they name."""

import math

import numpy as np
import pytest

import lucid
from lucid import nn

DRAWS = {
    "rand": lambda g: lucid.rand(5, generator=g),
    "randn": lambda g: lucid.randn(5, generator=g),
    "randint": lambda g: lucid.randint(100, (5,), generator=g),
    "randperm": lambda g: lucid.randperm(9, generator=g),
    "rand_like": lambda g: lucid.rand_like(lucid.ones(5), generator=g),
    "randn_like": lambda g: lucid.randn_like(lucid.ones(5), generator=g),
    "normal": lambda g: lucid.normal(0.0, 1.0, (5,), generator=g),
    "bernoulli": lambda g: lucid.bernoulli(lucid.full((40,), 0.5), generator=g),
    "multinomial": lambda g: lucid.multinomial(lucid.ones(50), 20, generator=g),
    "normal_": lambda g: lucid.empty(5).normal_(generator=g),
    "uniform_": lambda g: lucid.empty(5).uniform_(generator=g),
    "random_": lambda g: lucid.empty(5).random_(generator=g),
    "bernoulli_": lambda g: lucid.empty(40).bernoulli_(generator=g),
    "exponential_": lambda g: lucid.empty(5).exponential_(generator=g),
    "cauchy_": lambda g: lucid.empty(5).cauchy_(generator=g),
    "geometric_": lambda g: lucid.empty(40).geometric_(0.2, generator=g),
    "log_normal_": lambda g: lucid.empty(5).log_normal_(generator=g),
    "nn.init": lambda g: nn.init.kaiming_normal_(lucid.empty(4, 4), generator=g),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_generator_has_a_stream_of_its_own(name):
    draw = DRAWS[name]
    generator = lucid.Generator().manual_seed(7)
    before = lucid.get_rng_state()
    first, second = draw(generator), draw(generator)
    assert not lucid.equal(first, second)
    assert lucid.equal(draw(lucid.Generator().manual_seed(7)), first)
    assert lucid.equal(lucid.get_rng_state(), before)


def test_states_are_restored():
    generator = lucid.Generator()
    assert generator.initial_seed() == 67280421310721 and generator.device.type.name == "cpu"
    state = generator.get_state()
    copy = generator.clone_state()
    drawn = lucid.rand(3, generator=generator)
    assert lucid.equal(lucid.rand(3, generator=copy), drawn)
    assert lucid.equal(lucid.rand(3, generator=generator.set_state(state)), drawn)
    assert generator.seed() == generator.initial_seed() != 67280421310721
    with pytest.raises(ValueError, match=r"Generator.set_state: expected the 2 elements of get_state\(\), got shape"):
        generator.set_state(lucid.ones(3))


def test_the_default_generator_is_the_stream_of_the_thread():
    generator = lucid.manual_seed(5)
    assert generator is lucid.default_generator and lucid.initial_seed() == generator.initial_seed() == 5
    first = lucid.rand(2)
    lucid.default_generator.manual_seed(5)
    assert lucid.equal(lucid.rand(2, generator=generator), first)
    state = lucid.get_rng_state()
    with lucid.random.fork_rng():
        inside = lucid.rand(2)
    assert lucid.equal(lucid.get_rng_state(), state) and lucid.equal(lucid.rand(2), inside)
    lucid.set_rng_state(state)
    assert lucid.equal(lucid.rand(2), inside)
    assert lucid.seed() == lucid.initial_seed()


def test_generators_are_checked():
    with pytest.raises(TypeError, match=r"rand: generator must be a lucid.Generator, got int"):
        lucid.rand(2, generator=3)
    with pytest.raises(RuntimeError, match="rand: a compiled function cannot draw from a generator"):
        lucid.compile(lambda x: x + lucid.rand(2, generator=lucid.Generator()))(lucid.ones(2))


@pytest.mark.parametrize(
    ("draw", "mean", "deviation"),
    [
        (lambda x: x.normal_(2, 3), 2, 3),
        (lambda x: x.uniform_(-1, 3), 1, 4 / math.sqrt(12)),
        (lambda x: x.exponential_(0.5), 2, 2),
        (lambda x: x.log_normal_(0, 0.5), math.exp(0.125), math.sqrt((math.exp(0.25) - 1) * math.exp(0.25))),
        (lambda x: x.geometric_(0.25), 4, math.sqrt(0.75) / 0.25),
        (lambda x: x.bernoulli_(0.3), 0.3, math.sqrt(0.21)),
        (lambda x: x.random_(2, 12), 6.5, math.sqrt(99 / 12)),
        (lambda x: x.cauchy_(1, 2).sub_(1).div_(2).atan_(), 0, math.pi / math.sqrt(12)),
    ],
)  # fmt: skip
def test_samples_have_the_moments_of_their_distribution(draw, mean, deviation):
    lucid.manual_seed(0)
    count = 40_000
    values = draw(lucid.empty(count)).numpy()
    assert abs(values.mean() - mean) < 5 * deviation / math.sqrt(count)
    assert abs(values.std() / deviation - 1) < 0.05


def test_drawing_overwrites_views_and_has_no_gradient():
    x = lucid.ones(2, 3, requires_grad=True)
    y = x * 2
    part = y[0]
    y.normal_()
    assert lucid.equal(part, y[0])
    y.sum().backward()
    assert x.grad.tolist() == [[0, 0, 0]] * 2
    with pytest.raises(RuntimeError, match=r"uniform_: a leaf that requires grad"):
        x.uniform_()
    with pytest.raises(TypeError, match=r"normal_: the tensor must be floating point, got int64"):
        lucid.arange(3).normal_()


def test_random_integers_fill_their_dtype():
    lucid.manual_seed(0)
    values = lucid.empty(10_000, dtype=lucid.uint8).random_().numpy()
    assert np.unique(values).size == 256
    assert lucid.empty(1000).random_().max().item() > 2**23
    with pytest.raises(ValueError, match=r"random_: \[0, 300\) exceeds uint8"):
        lucid.empty(2, dtype=lucid.uint8).random_(300)
