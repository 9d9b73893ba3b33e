"""run_ahead: results in order, errors in their place, and no threads left behind."""

import gc
import threading
import time
from functools import partial

import pytest

from lucid.data.workers import THREAD_NAME, run_ahead
from tests.data.threads import no_thread_is_left, worker_threads  # noqa: F401 (a fixture for every test)


def jobs_of(function, count):
    return (partial(function, number) for number in range(count))


@pytest.mark.parametrize("num_workers", [1, 2, 5])
@pytest.mark.parametrize("ahead", [1, 3, 100])
@pytest.mark.parametrize("count", [0, 1, 31])
def test_results_are_in_the_order_of_the_jobs(num_workers, ahead, count):
    def job(number):
        time.sleep(0.001 * (number % 3))
        return number, threading.current_thread().name

    results = list(run_ahead(jobs_of(job, count), num_workers, ahead))
    assert [number for number, _ in results] == list(range(count))
    assert {name.rpartition("-")[0] for _, name in results} <= {THREAD_NAME}
    assert worker_threads() == []


def test_jobs_run_at_the_same_time():
    barrier = threading.Barrier(3, timeout=30)  # passes only if three jobs run at once
    assert len(list(run_ahead(jobs_of(lambda number: barrier.wait(), 6), 3, 3))) == 6


def test_no_more_than_ahead_results_are_pending():
    drawn = []

    def jobs():
        for number in range(20):
            drawn.append(number)
            yield lambda: None

    results = run_ahead(jobs(), 2, 4)
    assert len(drawn) == 4  # before the first result is requested
    next(results)
    assert len(drawn) == 5  # the one yielded, and four ahead
    next(results)
    assert len(drawn) == 6
    results.close()


def test_jobs_are_drawn_in_the_consumers_thread():
    def jobs():
        for _ in range(5):
            drawer = threading.current_thread()
            yield lambda drawer=drawer: drawer

    assert set(run_ahead(jobs(), 2, 2)) == {threading.current_thread()}


@pytest.mark.parametrize("kind", [ValueError, KeyError, SystemExit])
def test_an_error_is_raised_in_its_place(kind):
    def job(number):
        if number == 2:
            raise kind("broken")
        return number

    results = run_ahead(jobs_of(job, 10), 3, 8)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(kind, match="broken") as caught:
        next(results)
    assert "job" in [entry.name for entry in caught.traceback]  # the original traceback
    assert list(results) == []


def test_stop_iteration_in_a_job_does_not_end_the_iteration_silently():
    def job(number):
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(run_ahead(jobs_of(job, 3), 2, 2))


def test_an_error_while_drawing_is_raised_after_the_results_before_it():
    def jobs():
        yield lambda: "first"
        yield lambda: "second"
        raise OSError("the sampler broke")

    results = run_ahead(jobs(), 2, 8)
    assert [next(results), next(results)] == ["first", "second"]
    with pytest.raises(OSError, match="the sampler broke"):
        next(results)


def test_break_stops_the_threads():
    for number in run_ahead(jobs_of(lambda number: number, 1000), 3, 6):
        if number == 2:
            break
    assert number == 2 and worker_threads() == []


def test_unused_results_leave_no_thread():
    results = run_ahead(jobs_of(lambda number: number, 1000), 3, 6)
    assert len(worker_threads()) == 3
    del results
    assert worker_threads() == []


def test_an_error_of_the_consumer_stops_the_threads():
    def consume():
        for number in run_ahead(jobs_of(lambda number: number, 1000), 3, 6):
            raise LookupError(number)

    with pytest.raises(LookupError):
        consume()
    gc.collect()
    assert worker_threads() == []


def test_garbage_collection_stops_the_threads():
    holder = {}
    holder["results"] = run_ahead(jobs_of(lambda number: number, 1000), 3, 6)
    holder["self"] = holder  # a cycle, for the garbage collector
    next(holder["results"])
    assert len(worker_threads()) == 3
    del holder
    gc.collect()
    assert worker_threads() == []


class Stuck:
    """One worker that has finished job 0, blocks in job 1 until ``go`` is set, and has many more queued."""

    def __init__(self):
        self.begun, self.go = [], threading.Event()
        at_it = threading.Event()

        def job(number):
            self.begun.append(number)
            if number:
                at_it.set()
                self.go.wait(60)
            return number

        self.results = run_ahead(jobs_of(job, 50), 1, 20)
        assert next(self.results) == 0 and at_it.wait(60)

    def finish(self):
        """Unblock the worker, and wait for its end."""
        [worker] = worker_threads()
        self.go.set()
        worker.join(60)
        return worker


@pytest.mark.parametrize("timeout_s", [0, 0.05])
def test_a_stuck_job_does_not_block_the_consumer_forever(monkeypatch, timeout_s):
    monkeypatch.setattr("lucid.data.workers.JOIN_TIMEOUT_S", timeout_s)
    stuck = Stuck()
    stuck.results.close()
    assert stuck.finish().daemon
    assert stuck.begun == [0, 1]  # queued jobs were dropped


def test_a_keyboard_interrupt_does_not_wait_for_the_running_jobs():
    stuck = Stuck()
    with pytest.raises(KeyboardInterrupt):
        stuck.results.throw(KeyboardInterrupt)
    stuck.finish()
    assert stuck.begun == [0, 1]


def test_only_the_consumer_keeps_a_result_alive():
    class Big:
        alive = 0

        def __init__(self):
            Big.alive += 1

        def __del__(self):
            Big.alive -= 1

    results = run_ahead(jobs_of(lambda number: Big(), 3), 2, 1)
    for _ in range(3):
        one = next(results)
        del one
    end = time.monotonic() + 60
    while Big.alive and time.monotonic() < end:
        time.sleep(0.001)
    alive = Big.alive
    results.close()
    assert alive == 0
