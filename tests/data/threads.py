"""The loader's live background threads, and a fixture that fails if any are left."""

import threading

import pytest

from lucid.data.workers import THREAD_NAME


def worker_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


@pytest.fixture(autouse=True)
def no_thread_is_left(monkeypatch):
    monkeypatch.setattr("lucid.data.workers.JOIN_TIMEOUT_S", 120)  # threads may stall on a busy machine
    yield
    assert worker_threads() == []
