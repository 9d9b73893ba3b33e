"""The loader's background threads that are alive, and a fixture that wants none of them left."""

import threading

import pytest

from lucid.data.workers import THREAD_NAME


def worker_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


@pytest.fixture(autouse=True)
def no_thread_is_left(monkeypatch):
    monkeypatch.setattr("lucid.data.workers.JOIN_TIMEOUT_S", 120)  # a busy machine may stop a thread for long
    yield
    assert worker_threads() == []
