"""The benchmark of index checks: every step is timed with and without them."""

import importlib
import re

import lucid.nn.functional as F
from lucid import nn


def test_every_step_is_timed(monkeypatch, capsys):
    module = importlib.import_module("index_checks")
    small = lambda **options: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, options["num_classes"]))  # noqa: E731
    monkeypatch.setattr(module.models, "ConvNeXt", small)
    seen = set()
    loss = F.cross_entropy
    monkeypatch.setattr(F, "cross_entropy", lambda *args: seen.add(module.lucid._bounds.mode.checks) or loss(*args))
    assert module.main(["--rounds", "1", "--steps", "1"]) == 0
    text = capsys.readouterr().out
    assert seen == {None, False}
    assert len(re.findall(r"^(ConvNeXt|embedding), (loaded|computed) \w+ +\d+\.\d\d +[+-]\d+\.\d%$", text, re.M)) == 4
