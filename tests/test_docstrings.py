"""Public names have docstrings, classes of layers, optimizers, data and models have examples, and examples run."""

import doctest
import importlib
import inspect
import re

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import data, distributions, evaluation, metrics, models, nn, optim, training

MODULES = [
    "lucid", "lucid.amp", "lucid.autograd", "lucid.checkpoint", "lucid.data", "lucid.data.augment",
    "lucid.data.transforms", "lucid.distributed", "lucid.distributions", "lucid.evaluation", "lucid.explain",
    "lucid.export",
    "lucid.fft", "lucid.func", "lucid.linalg", "lucid.masked", "lucid.memory", "lucid.metrics",
    "lucid.models", "lucid.nn", "lucid.nn.functional", "lucid.nn.init", "lucid.nn.utils", "lucid.optim",
    "lucid.optim.lr_scheduler", "lucid.optim.swa_utils", "lucid.autograd.functional", "lucid.autograd.graph",
    "lucid.random", "lucid.serialization", "lucid.special", "lucid.signal.windows", "lucid.training", "lucid.utils",
]  # fmt: skip
# Each class of these has an example.
WITH_EXAMPLES = [
    "lucid.data", "lucid.data.augment", "lucid.data.transforms", "lucid.metrics", "lucid.models", "lucid.nn",
    "lucid.optim", "lucid.optim.lr_scheduler", "lucid.distributions", "lucid.evaluation",
]  # fmt: skip
# The names that an example uses without importing them.
NAMES = {
    "lucid": lucid, "F": F, "data": data, "distributions": distributions, "evaluation": evaluation, "metrics": metrics,
    "models": models, "nn": nn, "np": np, "optim": optim, "training": training,
}  # fmt: skip


def public_objects(module_name):
    """The public classes and functions of a module by name, as far as Lucid defines them."""
    module = importlib.import_module(module_name)
    found = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    for name in found:
        thing = getattr(module, name)
        if callable(thing) and (getattr(thing, "__module__", None) or "").startswith("lucid"):
            yield name, thing


def documented(thing):
    """An object and the public methods and properties that it defines itself."""
    yield thing
    if inspect.isclass(thing):
        for name, member in vars(thing).items():
            if not name.startswith("_") and isinstance(member, property | staticmethod | classmethod):
                yield getattr(thing, name)
            elif not name.startswith("_") and inspect.isfunction(member) and member.__name__ == name:
                yield member


def examples():
    seen = set()
    finder = doctest.DocTestFinder(recurse=False)
    for module_name in MODULES:
        for name, thing in public_objects(module_name):
            for one in documented(thing):
                if id(one) in seen or ">>>" not in (getattr(one, "__doc__", None) or ""):
                    continue
                seen.add(id(one))
                inner = "" if one is thing else f".{getattr(one, '__name__', '?')}"
                [test] = finder.find(one, f"{module_name}.{name}{inner}", module=False, globs=NAMES)
                if test.examples:
                    yield pytest.param(test, id=test.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory with a few photos."""
    folder = tmp_path_factory.mktemp("examples")
    try:
        from PIL import Image
    except ImportError:
        return folder
    for name in ("cat", "dog"):
        (folder / "photos" / "train" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (64, 48), (99, 60 * number, 120)).save(folder / "photos/train" / name / f"{number}.jpg")
    for kind, mode in (("images", "RGB"), ("masks", "L")):
        (folder / "shapes" / kind).mkdir(parents=True)
        for number in range(2):
            Image.new(mode, (64, 48)).save(folder / "shapes" / kind / f"{number}.png")
    return folder


@pytest.mark.parametrize("module_name", MODULES)
def test_public_names_have_docstrings(module_name):
    missing = [
        f"{name}: {member}"
        for name, thing in public_objects(module_name)
        for member in documented(thing)
        # An overriding method inherits its docstring.
        if not (thing.__doc__ if member is thing else inspect.getdoc(member))
    ]
    assert missing == []


@pytest.mark.parametrize("module_name", WITH_EXAMPLES)
def test_classes_have_examples(module_name):
    missing = [
        name
        for name, thing in public_objects(module_name)
        if inspect.isclass(thing) and not re.search(r"^Example:\n +>>> ", inspect.cleandoc(thing.__doc__), re.MULTILINE)
    ]
    assert missing == []


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adafactor", "Lion", "Muon", "EMA"])
def test_optimizers_explain_every_argument(name):
    optimizer = getattr(optim, name)
    arguments = re.search(r"^Args:\n((?: .*\n)+)", inspect.cleandoc(optimizer.__doc__), re.MULTILINE)[1]
    explained = re.findall(r"^    (\w+): ", arguments, re.MULTILINE)
    assert explained == list(inspect.signature(optimizer).parameters)


@pytest.mark.parametrize("test", list(examples()))
def test_examples_run(test, folder, monkeypatch):
    for package in ("PIL", "sklearn"):  # for photos and for the digits
        pytest.importorskip(package)
    monkeypatch.chdir(folder)
    runner = doctest.DocTestRunner(verbose=False)
    report = []
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_a_wrong_example_is_found():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    report = []
    assert doctest.DocTestRunner(verbose=False).run(test, out=report.append).failed == 1
