"""The table of operations: its lines everywhere, the times where PyTorch is installed."""

import importlib

import pytest


@pytest.fixture
def example():
    return importlib.import_module("cifar10_operations")


def test_the_table_has_sums_and_shares(example, capsys):
    times = {"lucid_forward_seconds": 0.0, "torch_forward_seconds": 0.0}
    lines = [
        {"operation": "GELU", "shape": (2, 4), "calls": 2, "lucid_seconds": 0.01, "torch_seconds": 0.04, **times},
        {"operation": "linear", "shape": (2, 4), "calls": 1, "lucid_seconds": 0.03, "torch_seconds": 0.06, **times},
    ]
    example.show(lines)
    rows = capsys.readouterr().out.splitlines()
    assert rows[2:] == [
        "| linear | 2x4 | 1 | 30.0 | 60.0 | 0.50 | 75.0% |",
        "| GELU | 2x4 | 2 | 10.0 | 40.0 | 0.25 | 25.0% |",
        "| all | | | 40.0 | 100.0 | 0.40 | |",
    ]


def test_every_operation_is_timed(example, monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    monkeypatch.setattr(example, "DIMS", (4, 8, 8))
    monkeypatch.setattr(example, "SIZE", 16)
    lines = example.compare(torch, 2, 1)
    assert len(lines) == 22 and all(line["lucid_seconds"] > 0 for line in lines)
