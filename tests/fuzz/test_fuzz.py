"""A few inputs of every fuzz target; ``python -m tests.fuzz`` checks more."""

import faulthandler
import os
import random
import types

import pytest

from tests.fuzz import runner
from tests.fuzz.mutation import mutated

INPUTS = 250


@pytest.mark.parametrize("name", runner.target_names())
def test_no_input_does_harm(name):
    runner.run(name, 0, INPUTS)


@pytest.mark.parametrize("name", runner.target_names())
def test_inputs_are_reproducible_and_differ(name):
    target = runner.load_target(name)
    seeds = target.seeds()
    made = [runner.make_input(name, target, seeds, index) for index in range(20)]
    assert made == [runner.make_input(name, target, seeds, index) for index in range(20)]
    assert len(set(made)) > 15


def test_mutations_of_empty_and_short_inputs():
    for index in range(500):
        rng = random.Random(index)
        mutated(b"", rng, [b""])
        mutated(b"a", rng, [b"", b"bc"])


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda data: os.system("true"), "os.system"),  # noqa: S605
        (lambda data: exec("1"), "exec"),  # noqa: S102
        (lambda data: __import__("this_module_does_not_exist"), "import"),
        (lambda data: open("/dev/null", "w").close(), "open"),
        (lambda data: {}[0], "KeyError"),
        (lambda data: pytest.fail("differs"), "differs"),
    ],
)
def test_violations_are_reported(monkeypatch, harm, what):
    calls = []

    def check(data):
        calls.append(data)
        if len(calls) > 1:  # the first is a seed
            harm(data)

    target = types.SimpleNamespace(seeds=lambda: [b"seed"], check=check)
    monkeypatch.setattr(runner, "load_target", lambda name: target)
    timer = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *_, **__: timer.append("started"))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: timer.append("stopped"))
    with pytest.raises((AssertionError, pytest.fail.Exception), match=what) as caught:
        runner.run("harmful", 0, 3)
    assert timer == ["started", "stopped"]  # otherwise it would end this process in the middle of a later test
    assert what == "differs" or "--target harmful --only 0" in str(caught.value) or "forbidden" in str(caught.value)
