"""Random programs agree in eager mode and compiled, in everything that they compute and leave."""

import gc

import pytest

from tests._compile.random_programs import Program, compare, differences, unfused

COUNT, GROUPS = 300, 10


@pytest.fixture(autouse=True, scope="module")
def few_objects():
    """Hide older objects from the garbage collector, through which every trace looks for live tensors."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("group", range(GROUPS))
def test_eager_and_compiled_agree(group):
    with unfused():
        outcomes = {seed: compare(seed) for seed in range(group, COUNT, GROUPS)}
    assert {seed: one for seed, one in outcomes.items() if one != "ok"} == {}


@pytest.mark.parametrize("seed", range(4))
def test_eager_and_compiled_agree_with_fused_kernels(seed):
    assert compare(seed) == "ok"


def test_differences_are_found():
    one = Program(1).run(compiled=False)
    other = Program(1).run(compiled=False)
    assert differences(one, other) == []
    name = next(iter(other["model"]))
    other["model"][name] = [0.0 if isinstance(row, float) else [0.0] * len(row) for row in other["model"][name]]
    assert differences(one, other) and differences(one, {**one, "rate": 7.0}) == ["/rate: " + f"{one['rate']} and 7.0"]
