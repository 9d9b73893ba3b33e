import gc

import mlx.core as mx
import pytest

import lucid
from lucid import _deferred, tape


class Owner:
    """Minimal like a Tensor: slots, weak references, and an == that is not a truth value."""

    __slots__ = ("__weakref__", "_array")

    def __init__(self, value):
        self._array = mx.array(value)

    def __eq__(self, other):
        raise AssertionError("owners must be compared by identity")

    __hash__ = None


@pytest.fixture(autouse=True)
def nothing_noted():
    _deferred.drain()


def test_drain_returns_the_current_arrays_once():
    first, second = Owner(1.0), Owner(2.0)
    _deferred.track(first)
    _deferred.track(second)
    first._array = first._array + 10
    arrays = _deferred.drain()
    assert [a.item() for a in arrays] == [11.0, 2.0]
    assert arrays[0] is first._array
    assert _deferred.drain() == []


def test_an_owner_tracked_twice_drains_once():
    owner = Owner(1.0)
    for _ in range(3):
        owner._array = owner._array * 2
        _deferred.track(owner)
    assert [a.item() for a in _deferred.drain()] == [8.0]


def test_dead_owners_are_dropped_and_ids_may_be_reused():
    for value in range(50):
        _deferred.track(Owner(value))
    gc.collect()
    assert _deferred._state.entries == {}
    assert _deferred.drain() == []


def test_a_loop_that_never_drains_runs_in_constant_memory():
    owner = Owner(mx.zeros((256, 256)))
    mx.eval(owner._array)
    seen = []
    for step in range(120):
        owner._array = owner._array * 0.9 + mx.random.normal((256, 256))
        _deferred.track(owner)
        if step in (20, 119):
            mx.synchronize()
            seen.append(mx.get_active_memory())
    # Each link of the chain holds at least one 256 KiB buffer: 100 steps would add 25 MB.
    assert seen[1] - seen[0] <= 4 * 256 * 256 * 4


def test_collecting_evaluates_nothing_while_mlx_traces():
    owner = Owner(mx.ones(3))

    def step(x):
        with _deferred.collecting():
            former = owner._array
            for _ in range(3):
                owner._array = owner._array + x
                _deferred.track(owner)
            [result] = _deferred.drain()
            owner._array = former
        return result

    assert mx.compile(step)(mx.ones(3)).tolist() == [4.0, 4.0, 4.0]


def test_collecting_restores_outer_entries_and_drops_its_own():
    outside, inside = Owner(1.0), Owner(2.0)
    _deferred.track(outside)
    with _deferred.collecting():
        _deferred.track(inside)
    assert [a.item() for a in _deferred.drain()] == [1.0]
    outside._array = outside._array + 1
    _deferred.track(outside)
    outside._array = outside._array + 1
    _deferred.track(outside)
    assert [a.item() for a in _deferred.drain()] == [3.0]


def test_evaluate_schedules_tracked_values_but_not_while_collecting():
    owner = Owner(1.0)
    _deferred.track(owner)
    with _deferred.collecting():
        inner = Owner(2.0)
        _deferred.track(inner)
        _deferred.evaluate([inner._array])
        assert _deferred.drain() == [inner._array]
    _deferred.evaluate([mx.array(3.0)])
    assert _deferred.drain() == []


def test_evaluating_says_whether_values_can_be_computed():
    assert _deferred.evaluating()
    with _deferred.collecting():
        assert not _deferred.evaluating()
    assert _deferred.evaluating()


def test_memo_lasts_as_long_as_the_collecting_block():
    assert _deferred.memo() is None
    with _deferred.collecting():
        _deferred.memo()["last"] = 1
        with _deferred.collecting():
            assert _deferred.memo() == {}
        assert _deferred.memo() == {"last": 1}
    assert _deferred.memo() is None


def test_on_call_runs_immediately_or_at_every_call_of_a_traced_function():
    count = []
    _deferred.on_call(lambda: count.append("now"))
    assert count == ["now"]

    @lucid.compile
    def doubled(x):
        _deferred.on_call(lambda: count.append("call"))
        return x * 2

    for number in range(1, 4):
        assert doubled(lucid.tensor([1.0])).tolist() == [2.0]
        assert count == ["now"] + ["call"] * number


def exported(function, folder):
    """Trace ``function`` with MLX alone, where arrays have no values."""
    with mx.exporter(str(folder / "f.mlxfn"), function) as export:
        export(mx.ones(4))


def test_long_programs_can_be_traced_by_mlx(tmp_path):
    def function(x):
        kept = [tape.wrap(x)]
        for _ in range(_deferred._MAX_CREATED + 100):
            kept.append(kept[-1] + 1)
        return kept[-1]._array

    exported(function, tmp_path)
    [result] = mx.import_function(str(tmp_path / "f.mlxfn"))(mx.ones(4))
    assert result.tolist() == [1 + _deferred._MAX_CREATED + 100] * 4


def test_a_value_kept_from_a_trace_of_mlx_does_not_break_the_next_step(tmp_path):
    kept = []

    def function(x):
        kept.append(tape.wrap(x) * 2)  # as a module that keeps its last output
        return kept[-1]._array

    exported(function, tmp_path)
    model = lucid.nn.Linear(4, 1)
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)
    model(lucid.ones(1, 4)).sum().backward()
    optimizer.step()
    assert model.weight.isfinite().all().item() and len(kept) == 1
