import gc

import mlx.core as mx
import pytest

import lucid
from lucid import _pending


class Owner:
    """As slim as a Tensor: slots, weakly referable, and an == that is no truth value."""

    __slots__ = ("__weakref__", "_array")

    def __init__(self, value):
        self._array = mx.array(value)

    def __eq__(self, other):
        raise AssertionError("owners are compared by identity only")

    __hash__ = None


@pytest.fixture(autouse=True)
def nothing_noted():
    _pending.drain()


def test_drain_gives_the_present_arrays_once():
    first, second = Owner(1.0), Owner(2.0)
    _pending.note(first)
    _pending.note(second)
    first._array = first._array + 10
    arrays = _pending.drain()
    assert [a.item() for a in arrays] == [11.0, 2.0]
    assert arrays[0] is first._array
    assert _pending.drain() == []


def test_an_owner_noted_twice_drains_once():
    owner = Owner(1.0)
    for _ in range(3):
        owner._array = owner._array * 2
        _pending.note(owner)
    assert [a.item() for a in _pending.drain()] == [8.0]


def test_dead_owners_are_forgotten_and_ids_may_return():
    for value in range(50):
        _pending.note(Owner(value))
    gc.collect()
    assert _pending._entries == {}
    assert _pending.drain() == []


def test_a_loop_that_never_drains_keeps_memory_flat():
    owner = Owner(mx.zeros((256, 256)))
    mx.eval(owner._array)
    seen = []
    for step in range(120):
        owner._array = owner._array * 0.9 + mx.random.normal((256, 256))
        _pending.note(owner)
        if step in (20, 119):
            mx.synchronize()
            seen.append(mx.get_active_memory())
    # Each link of the chain holds at least one 256 KiB buffer: 100 steps would add 25 MB.
    assert seen[1] - seen[0] <= 4 * 256 * 256 * 4


def test_collecting_evaluates_nothing_while_mlx_traces():
    owner = Owner(mx.ones(3))

    def step(x):
        with _pending.collecting():
            former = owner._array
            for _ in range(3):
                owner._array = owner._array + x
                _pending.note(owner)
            [result] = _pending.drain()
            owner._array = former
        return result

    assert mx.compile(step)(mx.ones(3)).tolist() == [4.0, 4.0, 4.0]


def test_collecting_keeps_former_notes_and_forgets_its_own():
    outside, inside = Owner(1.0), Owner(2.0)
    _pending.note(outside)
    with _pending.collecting():
        _pending.note(inside)
    assert [a.item() for a in _pending.drain()] == [1.0]
    outside._array = outside._array + 1
    _pending.note(outside)
    outside._array = outside._array + 1
    _pending.note(outside)
    assert [a.item() for a in _pending.drain()] == [3.0]


def test_evaluate_schedules_what_is_noted_but_not_while_collecting():
    owner = Owner(1.0)
    _pending.note(owner)
    with _pending.collecting():
        inner = Owner(2.0)
        _pending.note(inner)
        _pending.evaluate([inner._array])
        assert _pending.drain() == [inner._array]
    _pending.evaluate([mx.array(3.0)])
    assert _pending.drain() == []


def test_evaluating_says_whether_values_can_be_computed():
    assert _pending.evaluating()
    with _pending.collecting():
        assert not _pending.evaluating()
    assert _pending.evaluating()


def test_memo_lives_as_long_as_the_collecting_block():
    assert _pending.memo() is None
    with _pending.collecting():
        _pending.memo()["last"] = 1
        with _pending.collecting():
            assert _pending.memo() == {}
        assert _pending.memo() == {"last": 1}
    assert _pending.memo() is None


def test_on_call_runs_at_once_and_in_a_trace_at_every_call_of_the_function():
    count = []
    _pending.on_call(lambda: count.append("now"))
    assert count == ["now"]

    @lucid.compile
    def doubled(x):
        _pending.on_call(lambda: count.append("call"))
        return x * 2

    for number in range(1, 4):
        assert doubled(lucid.tensor([1.0])).tolist() == [2.0]
        assert count == ["now"] + ["call"] * number
