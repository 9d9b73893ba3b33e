"""The table of mutants fits the sources; ``make mutants`` runs them."""

import ast
from collections import Counter

import pytest

from tests.kernels.mutants import run
from tests.kernels.mutants.table import MUTANTS, Mutant


def test_there_are_enough_and_each_has_its_own_name():
    assert len(MUTANTS) >= 60
    assert max(Counter((one.file, one.right, one.wrong) for one in MUTANTS).values()) == 1


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: f"{one.file.rpartition('/')[2]}: {one.name}")
def test_the_text_occurs_exactly_once(mutant):
    text = (run.ROOT / mutant.file).read_text(encoding="utf-8")
    changed = mutant.applied(text)
    assert changed != text
    if mutant.file.endswith(".py"):
        ast.parse(changed)


@pytest.mark.parametrize("test", sorted({test for one in MUTANTS for test in one.tests}))
def test_the_tests_exist(test):
    path, _, name = test.partition("::")
    text = (run.ROOT / path).read_text(encoding="utf-8")
    assert not name or f"def {name.partition('[')[0]}(" in text


def test_a_mutant_whose_text_is_gone_is_refused():
    with pytest.raises(ValueError, match=r"a.py: lost: 'x' must occur once, occurs 0 times"):
        Mutant("a.py", "lost", "x", "y", ()).applied("z")
    with pytest.raises(ValueError, match="occurs 2 times"):
        Mutant("a.py", "twice", "x", "y", ()).applied("xx")


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A project of one function and two tests of it, in place of this one."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "adding.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "code" / "test_adding.py").write_text(
        "from code.adding import add\n\n\ndef test_two():\n    assert add(0, 2) == 2\n\n\n"
        "def test_three():\n    assert add(1, 2) == 3\n"
    )
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = ['--import-mode=importlib']\n")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "COPIED", ("code", "pyproject.toml"))
    return tmp_path


def mutant(wrong, test, equivalent=""):
    return Mutant("code/adding.py", "wrong sum", "a + b", wrong, (f"code/test_adding.py::test_{test}",), equivalent)


def test_mutants_are_killed_or_survive_and_the_sources_stay(tiny, capsys):
    before = (tiny / "code" / "adding.py").read_text()
    mutants = [mutant("a - b", "three"), mutant("b", "two"), mutant("b + a", "three", "addition commutes")]
    outcomes = run.run_all(mutants)
    assert [one.state for one in outcomes] == ["killed", "survived", "survived"]
    assert [one.is_as_expected for one in outcomes] == [True, False, True]
    assert (tiny / "code" / "adding.py").read_text() == before
    run.print_summary(outcomes)
    printed = capsys.readouterr().out
    assert "wrong sum: NOT EQUIVALENT: a test is missing" in printed and "wrong sum: addition commutes" in printed
    assert "3 mutants: 1 killed, 2 survived" in printed


def test_tests_that_fail_without_a_mutation_stop_the_run(tiny):
    (tiny / "code" / "adding.py").write_text("def add(a, b):\n    return a + b + 1\n")
    with pytest.raises(RuntimeError, match="without a mutation"):
        run.run_all([mutant("a - b", "three")])


def test_mutants_are_chosen_by_file_or_name():
    assert run.chosen([]) == MUTANTS
    assert {one.file for one in run.chosen(["biased_gelu.metal"])} == {"metal/biased_gelu.metal"}
    assert not run.chosen(["no such mutant"])
