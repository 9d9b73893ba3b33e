import pytest

from lucid.distributed import group


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    """Every test starts without a group, even if the tests themselves run under a launcher."""
    monkeypatch.setattr(group, "_group", None)
    monkeypatch.setattr(group, "_former", None)
    monkeypatch.setattr(group, "read_launch", lambda: None)


@pytest.fixture
def as_rank(monkeypatch):
    """Pretend that this process is rank ``rank`` of ``size``; nothing is sent."""

    def become(rank, size):
        monkeypatch.setattr(group, "_group", group.ProcessGroup(rank, size, "ring"))

    return become
