"""No index reads or writes outside of its array: it is rejected where its values are read, and clamped elsewhere."""

import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import _bounds, nn, optim
from lucid.utils import checkpoint

ROOT = Path(__file__).parents[1]
X = np.arange(12, dtype=np.float32).reshape(3, 4)
WRONG = (3, -4, 10**9, -(10**9), 10**12, 2**40)


def run(*command):
    """The output of Python in a process of its own: reading outside of an array may end it."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_thousands_of_random_indices_agree_with_numpy_or_are_rejected():
    counts = run("-m", "tests.ops.random_indexing", "--calls", "4000")
    assert all(kind in counts for kind in ("right", "rejected", "clamped"))


def index_of(wrong, *shape):
    return lucid.tensor(np.full(shape, wrong, np.int64))


# An operation on x (3, 4) with one wrong index, which refers to dimension 0.
OPERATIONS = {
    "getitem": lambda x, wrong: x[index_of(wrong, 2)],
    "getitem of two": lambda x, wrong: x[index_of(wrong, 2), index_of(0, 2)],
    "gather": lambda x, wrong: x.gather(0, index_of(wrong, 2, 4)),
    "take_along_dim": lambda x, wrong: lucid.take_along_dim(x, index_of(wrong, 1, 4), 0),
    "scatter": lambda x, wrong: x.scatter(0, index_of(wrong, 1, 4), lucid.ones(1, 4)),
    "scatter_add": lambda x, wrong: x.scatter_add(0, index_of(wrong, 1, 4), lucid.ones(1, 4)),
    "index_select": lambda x, wrong: x.index_select(0, index_of(wrong, 2)),
    "index_add": lambda x, wrong: x.index_add(0, index_of(wrong, 1), lucid.ones(1, 4)),
    "index_copy": lambda x, wrong: x.index_copy(0, index_of(wrong, 1), lucid.ones(1, 4)),
    "index_fill": lambda x, wrong: x.index_fill(0, index_of(wrong, 1), 1.0),
    "take": lambda x, wrong: lucid.take(x, index_of(wrong, 2), 0),
    "embedding": lambda x, wrong: F.embedding(index_of(wrong, 2), x),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_error_names_index_dimension_and_size(name, wrong, on_cpu):
    with pytest.raises(IndexError, match=rf": index {wrong} is out of range for dim 0 with size 3, shape \(3, 4\)"):
        OPERATIONS[name](lucid.tensor(X), wrong)


@pytest.mark.parametrize("name", OPERATIONS)
def test_elsewhere_an_index_is_clamped_in_both_passes(name):
    """In compiled functions, eagerly under debug(False), and in a recorded backward pass."""
    for wrong in WRONG:
        x = lucid.tensor(X, requires_grad=True)
        takes_negative = name in ("getitem", "getitem of two", "take_along_dim", "index_fill", "take")
        right = max(min(wrong, 2), -3 if takes_negative else 0)
        expected = OPERATIONS[name](x, right)
        cotangent = lucid.arange(expected.numel()).reshape(expected.shape).float()
        expected_gradient = lucid.autograd.grad(expected, x, cotangent)[0]
        with lucid.debug(False):
            found = OPERATIONS[name](x, wrong)
            [gradient] = lucid.autograd.grad(found, x, cotangent, create_graph=True)
            [checkpointed] = lucid.autograd.grad(
                checkpoint(lambda x, wrong=wrong: OPERATIONS[name](x, wrong), x), x, cotangent
            )
        np.testing.assert_array_equal(found.detach().numpy(), expected.detach().numpy())
        for one in (gradient, checkpointed):
            np.testing.assert_array_equal(one.detach().numpy(), expected_gradient.numpy())


def test_setitem_is_checked_or_clamped(on_cpu):
    x = lucid.zeros(3)
    with pytest.raises(IndexError, match="setitem: index 50 is out of range for dim 0 with size 3"):
        x[lucid.tensor([50])] = 1.0
    with lucid.debug(False):
        x[lucid.tensor([50])] = 1.0
    assert x.tolist() == [0, 0, 1]


def test_training_an_embedding_beyond_its_end_corrupts_no_memory():
    """The heap, and the process, survive; eager steps are rejected."""
    found = run(
        "-c",
        "import lucid, numpy as np\n"
        "from lucid import nn, optim\n"
        "lucid.device('cpu')\n"
        "model = nn.Embedding(1000, 16)\n"
        "optimizer = optim.SGD(model.parameters(), 0.1)\n"
        "def step(index):\n"
        "    optimizer.zero_grad()\n"
        "    model(index).square().sum().backward()\n"
        "    optimizer.step()\n"
        "index = lucid.tensor(np.arange(900, 1400))\n"
        "rejected = 0\n"
        "for i in range(200):\n"
        "    try:\n"
        "        step(index)\n"
        "    except IndexError:\n"
        "        rejected += 1\n"
        "compiled = lucid.compile(step, state=[model, optimizer])\n"
        "with lucid.debug(False):\n"
        "    for i in range(200):\n"
        "        step(index)\n"
        "for i in range(200):\n"
        "    compiled(index)\n"
        "print(rejected, bool(lucid.isfinite(model.weight[:999]).all()), lucid.zeros(3).tolist())\n",
    )
    assert found == "200 True [0.0, 0.0, 0.0]\n"


def test_compiled_functions_clamp_and_run_eagerly_under_debug():
    table = lucid.tensor(X)
    pick = lucid.compile(lambda index: F.embedding(index, table))
    wrong = lucid.tensor([1, 7])
    assert pick(wrong).tolist() == [X[1].tolist(), X[2].tolist()]
    with lucid.debug():
        with pytest.raises(IndexError, match="embedding: index 7 is out of range"):
            pick(wrong)
        assert pick(np.array([1])).tolist() == [X[1].tolist()]
    assert pick(wrong).tolist() == [X[1].tolist(), X[2].tolist()]
    assert pick.retraces.count == 0


def test_a_compiled_step_under_debug_trains_as_usual():
    def losses(debug):
        lucid.manual_seed(0)
        model = nn.Linear(3, 4)
        optimizer = optim.AdamW(model.parameters(), 0.1)

        @lucid.compile(state=[model, optimizer])
        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        with lucid.debug(debug):
            return [step(lucid.ones(2, 3), lucid.tensor([i, 3])).item() for i in range(4)]

    assert losses(True) == pytest.approx(losses(False), rel=1e-5)


def test_debug_inside_a_trace_says_that_there_are_no_values():
    table = lucid.tensor(X)

    @lucid.debug()
    def pick(index):
        return F.embedding(index, table)

    with pytest.raises(RuntimeError, match=r"embedding: index has no value .* enter lucid.debug\(\) around the call"):
        lucid.compile(pick)(lucid.tensor([1]))
    with pytest.raises(RuntimeError, match="cross_entropy: target has no value"), lucid.debug():
        mx.compile(lambda y: F.cross_entropy(table, lucid.tensor(y)).mlx)(mx.array([0, 0, 1]))
    with pytest.raises(IndexError):
        pick(lucid.tensor([5]))


def test_other_transformations_clamp_too():
    table, wrong = mx.array(X), mx.array([1, 9, 10**6])

    def pick(index, table):
        return F.embedding(lucid.tensor(index), lucid.tensor(table)).mlx

    def gradient(index, table):
        return mx.vjp(lambda table: pick(index, table), [table], [mx.ones((3, 4))])[1][0]

    np.testing.assert_array_equal(np.array(mx.compile(pick)(wrong, table)), X[[1, 2, 2]])
    np.testing.assert_array_equal(np.array(mx.vmap(pick, (0, None))(wrong, table)), X[[1, 2, 2]])
    np.testing.assert_array_equal(np.array(mx.compile(gradient)(wrong, table))[:, 0], [0, 1, 2])


def test_an_exported_function_clamps(tmp_path):
    table = lucid.tensor(X)
    path = str(tmp_path / "pick.mlxfn")
    mx.export_function(path, lambda index: F.embedding(lucid.tensor(index), table).mlx, mx.array([0, 0]))
    [found] = mx.import_function(path)(mx.array([10**6, -5]))
    np.testing.assert_array_equal(np.array(found), X[[2, 0]])


def test_gpus_are_not_waited_for(monkeypatch, on_cpu):
    index = mx.array([1, 7])
    with pytest.raises(IndexError):
        _bounds.within("take", index, 0, (3,))
    monkeypatch.setattr(mx, "default_device", lambda: mx.Device(mx.gpu))
    assert _bounds.within("take", index, 0, (3,)).tolist() == [1, 2]
    with lucid.debug(), pytest.raises(IndexError):
        _bounds.within("take", index, 0, (3,))
    with pytest.raises(IndexError):  # a list or a NumPy array costs no waiting
        lucid.take(lucid.ones(3), [7])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "uint64", "int64"])
@pytest.mark.parametrize("size", [1, 100, 128, 256, 1000])
def test_clamping_fits_the_dtype(dtype, size):
    limits = np.iinfo(dtype)
    values = np.array([limits.min, limits.max, 0], dtype)
    with lucid.debug(False):
        found = _bounds.within("take", mx.array(values), 0, (size,))
    np.testing.assert_array_equal(np.array(found), [max(limits.min, -size), min(limits.max, size - 1), 0])


def test_the_values_of_the_index_are_read_but_not_the_table(on_cpu, settled):
    before = mx.get_active_memory()
    table = lucid.zeros(5_000_000, 4) + 1  # 80 MB, once it is computed
    found = F.embedding(lucid.tensor([3, 4]) + 1, table)
    assert mx.get_active_memory() - before < 1e6
    assert found.tolist() == [[1.0] * 4] * 2


def test_an_index_that_is_modified_in_place_is_checked_again(on_cpu):
    index = mx.array([0, 1])
    x = lucid.tensor(X)
    assert x[index].shape == (2, 4)
    index[0] = 10**9
    with pytest.raises(IndexError):
        x[index]


def test_debug_nests_and_restores():
    assert _bounds.mode.checks is None
    with lucid.debug(False):
        with lucid.debug():
            assert _bounds.is_checking()
        assert not _bounds.is_checking()
    assert _bounds.mode.checks is None
    switch = lucid.debug()
    with switch, switch:
        assert _bounds.mode.checks
    assert _bounds.mode.checks is None


def test_empty_indices_and_empty_dimensions():
    assert lucid.zeros(0, 2)[lucid.tensor([], dtype="int64")].shape == (0, 2)
    for use in (
        lambda: lucid.zeros(0, 2).gather(0, lucid.tensor([[0, 0]])),
        lambda: lucid.zeros(0, 2).index_select(0, lucid.tensor([0])),
        lambda: F.embedding(lucid.tensor([0]), lucid.zeros(0, 2)),
        lambda: lucid.compile(lambda index: F.embedding(index, lucid.zeros(0, 2)))(lucid.tensor([0])),
    ):
        with pytest.raises(IndexError, match=r"cannot index dim 0 of shape \(0, 2\), which is empty"):
            use()


def test_index_operations_take_scalars(on_cpu):
    x, at = lucid.tensor(2.0), lucid.tensor([0])
    assert x.index_add(0, at, lucid.tensor(3.0)).item() == 5
    assert x.index_copy(0, at, lucid.tensor(3.0)).item() == 3
    assert x.index_fill(0, at, 4).item() == 4
    with pytest.raises(IndexError):
        x.index_fill(0, lucid.tensor([1]), 4)


def test_more_dimensions_than_numpy_has_raise():
    """Instead of ending the process."""
    calls = ("x.numpy()", "np.asarray(x)", "x.nonzero()", "x.unique()", "x.masked_select(x > 0)", "x[x > 0]")
    code = "import lucid, numpy as np\nx = lucid.zeros(*[1] * 200)\n" + "".join(
        f"try:\n    {call}\nexcept (ValueError, BufferError) as error:\n    print(error)\n"
        for call in (*calls, "x.__dlpack__()")
    )
    *found, dlpack = run("-c", code).splitlines()
    assert [one.partition(": NumPy supports at most ")[0] for one in found] == [
        "numpy", "numpy", "nonzero", "unique", "masked_select", "getitem"
    ]  # fmt: skip
    assert dlpack == "__dlpack__: MLX exports at most 128 dimensions, got 200"


def test_an_index_of_many_dimensions_is_checked(on_cpu):
    index = lucid.zeros(*[1] * 70, dtype="int64")
    assert lucid.take(lucid.tensor(X), index, 0).shape == (*[1] * 70, 4)
    with pytest.raises(IndexError):
        lucid.take(lucid.tensor(X), index + 3, 0)
