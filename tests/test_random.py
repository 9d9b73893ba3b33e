"""Random tensors: distributions, seeds, states, and invalid arguments."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lucid


def test_equal_seeds_give_equal_numbers_and_draws_differ():
    lucid.manual_seed(3)
    a, b = lucid.randn(4), lucid.randn(4)
    lucid.random.manual_seed(3)
    assert lucid.randn(4).tolist() == a.tolist() != b.tolist()
    assert lucid.initial_seed() == 3


def test_a_state_can_be_restored_and_a_fork_does_not_advance_it():
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
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 0.01
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
    with pytest.raises(ValueError, match="multinomial: num_samples must be at most 3 without replacement, got 4"):
        lucid.multinomial(p, 4)


def test_shapes_dtypes_and_gradients():
    assert lucid.randn(2, 3).shape == lucid.randn((2, 3)).shape == lucid.randn([2, 3]).shape == (2, 3)
    assert lucid.rand(2, dtype=lucid.float16).dtype == lucid.float16
    assert lucid.randn(2, requires_grad=True).requires_grad
    assert lucid.randn(0, 3).shape == (0, 3)
    assert lucid.randn_like(lucid.zeros(2, dtype=lucid.bfloat16)).dtype == lucid.bfloat16


def test_large_random_integers_cover_the_range():
    for low, high in [(0, 2**40), (-(2**62), 2**62), (2**40, 2**40 + 3), (0, 2**30), (-(2**63), 2**63 - 1)]:
        drawn = np.array(lucid.randint(low, high, (4000,)).tolist(), dtype=object)
        assert low <= drawn.min() and drawn.max() < high
        assert 0.4 < np.mean([int(d) % 2 for d in drawn]) < 0.6 or high - low == 3
        spread = (drawn - low) / (high - low)
        assert abs(np.mean(spread.astype(float)) - (1 / 3 if high - low == 3 else 0.5)) < 0.03
    assert set(lucid.randint(2**40, 2**40 + 3, (200,)).tolist()) == {2**40, 2**40 + 1, 2**40 + 2}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_moments_and_ranges_in_every_dtype(dtype):
    u = lucid.rand(100_000, dtype=dtype).float().numpy()
    assert u.min() >= 0 and u.max() < 1
    np.testing.assert_allclose([u.mean(), u.var()], [1 / 2, 1 / 12], atol=0.01)
    n = lucid.randn(100_000, dtype=dtype).float().numpy()
    np.testing.assert_allclose([n.mean(), n.var(), (n**3).mean(), (n**4).mean()], [0, 1, 0, 3], atol=0.15)
    v = lucid.random.uniform(-3, 5, (100_000,), dtype=dtype).float().numpy()
    assert v.min() >= -3 and v.max() < 5
    np.testing.assert_allclose([v.mean(), v.var()], [1, 64 / 12], atol=0.1)
    w = lucid.normal(2.0, 0.5, (100_000,), dtype=dtype).float().numpy()
    np.testing.assert_allclose([w.mean(), w.std()], [2, 0.5], atol=0.02)


def test_probabilities_of_draws():
    drawn = lucid.multinomial(lucid.tensor([1.0, 2.0, 5.0]), 40_000, replacement=True).numpy()
    np.testing.assert_allclose(np.bincount(drawn) / 40_000, [1 / 8, 2 / 8, 5 / 8], atol=0.01)
    first = lucid.multinomial(lucid.tensor([[1.0, 2.0, 5.0]] * 20_000), 2).numpy()
    assert (first[:, 0] != first[:, 1]).all()
    np.testing.assert_allclose(np.bincount(first[:, 0]) / 20_000, [1 / 8, 2 / 8, 5 / 8], atol=0.015)
    ones = lucid.bernoulli(lucid.tensor([0.0, 0.2, 1.0]).expand(20_000, 3)).mean(0).numpy()
    np.testing.assert_allclose(ones, [0, 0.2, 1], atol=0.015)
    assert lucid.bernoulli(lucid.tensor([0, 1])).tolist() == [0, 1]
    places = np.array([lucid.randperm(4).tolist() for _ in range(2000)])
    np.testing.assert_allclose([np.bincount(places[:, i]) / 2000 for i in range(4)], np.full((4, 4), 0.25), atol=0.05)


def test_like_functions_take_arrays():
    assert lucid.randn_like([1.0, 2.0]).shape == (2,)
    assert lucid.rand_like(np.zeros((2, 3), np.float16)).dtype == lucid.float16
    assert lucid.randperm(3, dtype=lucid.int32).dtype == lucid.int32 and lucid.randperm(0).shape == (0,)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lucid.manual_seed("1"), TypeError, "seed must be an integer, got str"),
        (lambda: lucid.randn(2, -1), ValueError, "size"),
        (lambda: lucid.randn(2.5), TypeError, "size"),
        (lambda: lucid.randn(2, dtype=lucid.int32), TypeError, "floating point, got int32"),
        (lambda: lucid.randint(5, 5, (2,)), ValueError, r"low must be less than high, got \[5, 5\)"),
        (lambda: lucid.random.set_state([1, 2, 3]), ValueError, "get_state"),
        (lambda: lucid.randint(0.5, 3, (2,)), TypeError, "randint: low must be an integer, got 0.5"),
        (lambda: lucid.randint(3), TypeError, r"randint: expected randint\(high, size\)"),
        (lambda: lucid.randint(0, 2**64, (2,)), ValueError, "randint: high must fit in 64 bits"),
        (lambda: lucid.random.uniform(3, 1, (2,)), ValueError, r"uniform: low must not exceed high, got \[3.0, 1.0\)"),
        (lambda: lucid.normal(0.0, -1.0, (2,)), ValueError, "normal: std must be at least 0, got -1.0"),
        (
            lambda: lucid.normal(lucid.zeros(2), lucid.ones(3)),
            ValueError,
            r"normal: shapes \(2,\) and \(3,\) cannot be",
        ),
        (
            lambda: lucid.normal(lucid.zeros(3), 1.0, (3, 1)),
            TypeError,
            "normal: size is only taken with numbers as mean and std, not with tensors",
        ),
        (
            lambda: lucid.bernoulli(2.0, size=(3,)),
            ValueError,
            "bernoulli: input must be at least 0 and at most 1, got 2.0",
        ),
        (lambda: lucid.bernoulli(lucid.ones(2), -0.5), ValueError, "bernoulli: p must be at least 0 and at most 1"),
        (lambda: lucid.permutation(-1), ValueError, "randperm: n must be at least 0, got -1"),
        (lambda: lucid.randperm(2.5), TypeError, "randperm: n must be an integer, got 2.5"),
        (lambda: lucid.permutation(lucid.tensor(1.0)), ValueError, "permutation: a 0-d tensor cannot be shuffled"),
        (lambda: lucid.multinomial(lucid.ones(3), 0), ValueError, "multinomial: num_samples must be at least 1, got 0"),
        (
            lambda: lucid.multinomial(lucid.tensor(1.0), 1),
            ValueError,
            r"multinomial: input must have 1 or 2 dimensions \(..., K\)",
        ),
        (lambda: lucid.rand_like(lucid.arange(3)), TypeError, "floating point, got int64"),
    ],
)
def test_invalid_arguments_raise(call, error, message):
    with pytest.raises(error, match=message):
        call()


def in_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def draws(threads):
    """Numbers drawn in so many new threads, one after the other."""
    return [in_thread(lambda: lucid.rand(3).tolist()) for _ in range(threads)]


def test_the_seed_of_the_main_thread_determines_the_numbers_of_new_threads():
    lucid.manual_seed(5)
    before = lucid.random.get_state().tolist()
    first = draws(3)
    assert lucid.random.get_state().tolist() == before
    assert len({tuple(one) for one in [*first, lucid.rand(3).tolist()]}) == 4
    lucid.manual_seed(5)
    assert draws(3) == first
    lucid.manual_seed(-6)
    assert draws(3) != first


def test_a_seed_set_in_a_thread_stays_in_that_thread():
    lucid.manual_seed(1)
    before = lucid.random.get_state().tolist()

    def seeded():
        lucid.manual_seed(7)
        return lucid.initial_seed(), lucid.rand(3).tolist()

    seed, numbers = in_thread(seeded)
    assert (lucid.initial_seed(), lucid.random.get_state().tolist()) == (1, before)
    lucid.manual_seed(7)
    assert (seed, numbers) == (7, lucid.rand(3).tolist())


def test_the_initial_seed_of_a_thread_repeats_its_numbers():
    seed, numbers = in_thread(lambda: (lucid.initial_seed(), lucid.rand(3).tolist()))
    lucid.manual_seed(seed)
    assert lucid.rand(3).tolist() == numbers


def test_running_threads_keep_their_state():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lucid.manual_seed, 3).result()
        lucid.manual_seed(4)
        numbers = pool.submit(lambda: lucid.rand(3).tolist()).result()
    lucid.manual_seed(3)
    assert lucid.rand(3).tolist() == numbers


def test_seeds_are_numbers_of_any_kind():
    for seed in (3, np.int64(3), 3.7):
        lucid.manual_seed(seed)
        assert lucid.initial_seed() == 3
    lucid.manual_seed(-1)
    assert lucid.initial_seed() == 2**64 - 1


@pytest.mark.parametrize(
    "draw",
    [
        lambda: lucid.randint(5, (1000,)),
        lambda: lucid.randint(5, size=(1000,)),
        lambda: lucid.randint(high=5, size=(1000,)),
        lambda: lucid.randint(0, 5, (1000,)),
        lambda: lucid.randint(low=0, high=5, size=(1000,), generator=None),
        lambda: lucid.randint(lucid.tensor(5), (1000,)),
    ],
)
def test_all_forms_of_randint(draw):
    assert sorted(set(draw().tolist())) == [0, 1, 2, 3, 4]


def test_normal_takes_the_dtype_of_its_tensors():
    x = lucid.ones(2, dtype=lucid.bfloat16)
    assert lucid.normal(x, x).dtype == lucid.normal(0.0, x).dtype == lucid.bfloat16
    assert lucid.normal(x, lucid.ones(2)).dtype == lucid.float32


WEIGHTS = {
    "negative": ([0.5, -1.0], "multinomial: input must be finite and at least 0, got -1.0"),
    "nan": ([0.5, float("nan")], "multinomial: input must be finite and at least 0, got nan"),
    "inf": ([0.5, float("inf")], "multinomial: input must be finite and at least 0, got inf"),
    "zero": ([[0.5, 1.0], [0.0, 0.0]], "multinomial: input must have a probability above 0 in each row"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_cannot_be_drawn_from_raise_where_values_are_checked(name, on_cpu):
    weights, message = WEIGHTS[name]
    with pytest.raises(RuntimeError, match=message):
        lucid.multinomial(lucid.tensor(weights), 1)
    with lucid.debug(False):  # as on a GPU
        lucid.multinomial(lucid.tensor(weights), 1)
    with pytest.raises(RuntimeError, match="bernoulli: input must be at least 0 and at most 1, got 1.5"):
        lucid.bernoulli(lucid.tensor([0.5, 1.5]))
    with pytest.raises(RuntimeError, match="normal: std must be at least 0, got -1.0"):
        lucid.normal(0.0, lucid.tensor([1.0, -1.0]))


def test_complex_samples_have_the_variance_of_pytorch():
    lucid.manual_seed(1)
    normal, uniform = (
        lucid.randn(4000, dtype=lucid.complex64),
        lucid.rand_like(lucid.zeros(4000, dtype=lucid.complex64)),
    )
    z, u = normal.numpy(), uniform.numpy()
    assert z.dtype == u.dtype == np.complex64
    assert abs(np.mean(np.abs(z) ** 2) - 1) < 0.1 and abs(np.mean(z.real * z.imag)) < 0.05
    assert 0 <= u.real.min() < 0.01 < 0.99 < u.real.max() < 1 and 0 <= u.imag.min() < 0.01 < 0.99 < u.imag.max() < 1
    assert lucid.rand(2, dtype=lucid.complex64).dtype == lucid.randn_like(normal).dtype == lucid.complex64


def test_randint_like_draws_in_the_dtype_of_its_argument():
    x = lucid.randint_like(lucid.zeros(200), 2, 5)
    assert x.dtype == lucid.float32
    assert set(x.tolist()) == {2, 3, 4}
    assert set(lucid.randint_like(x, 2, dtype="int8").tolist()) == {0, 1}
