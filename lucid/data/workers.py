"""Background threads that run jobs ahead of a consumer, in order, and stop with it.

The consumer draws jobs, queues up to ``ahead`` of them and takes the results in the order of the jobs. An exception in
a job is raised, with the traceback of the thread, when the consumer reaches the result of that job. The threads hold
references only to the queue, and are stopped when the consuming generator is closed (``break``, an exception, Ctrl-C,
garbage collection). They are daemons, so a job that blocks forever does not keep the interpreter from exiting.
"""

import concurrent.futures
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from typing import Any

THREAD_NAME = "lucid-data-loader"
JOIN_TIMEOUT_S = 5.0

Job = Callable[[], Any]
_Queue = queue.SimpleQueue  # of (future, job), or None: stop


def run_ahead(
    jobs: Iterator[Job],
    num_workers: int,
    ahead: int,
    timeout_s: float | None = None,
    begin: Callable[[int], None] | None = None,
) -> Generator[Any, None, None]:
    """Yield the results of ``jobs`` in order, computed by ``num_workers`` threads, at most ``ahead`` in advance.

    The threads start immediately, not at the first ``next``. Each calls ``begin`` with its number first. An error
    there is raised in place of every result of the thread.

    Raises:
        TimeoutError: a result took longer than ``timeout_s``.
    """
    results = _run_ahead(jobs, num_workers, ahead, timeout_s, begin)
    next(results)
    return results


def _run_ahead(
    jobs: Iterator[Job], num_workers: int, ahead: int, timeout_s: float | None, begin: Callable[[int], None] | None
) -> Generator[Any, None, None]:
    """None, then the results. Once started, closing the generator stops the threads."""
    tasks: _Queue = _Queue()
    threads = [
        threading.Thread(target=_work, args=(tasks, number, begin), name=f"{THREAD_NAME}-{number}", daemon=True)
        for number in range(num_workers)
    ]
    for thread in threads:
        thread.start()
    waiting: deque[Future] = deque()
    interrupted = False
    try:
        more = _submit(jobs, tasks, waiting, ahead)
        yield None
        while waiting:
            ready = [_result(waiting.popleft(), timeout_s)]
            more = more and _submit(jobs, tasks, waiting, ahead)
            yield ready.pop()  # no variable here may keep the result alive
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        _stop(tasks, threads, wait=not interrupted)


def _submit(jobs: Iterator[Job], tasks: _Queue, waiting: deque[Future], ahead: int) -> bool:
    """Queue jobs until ``ahead`` results are pending. Returns whether there may be more jobs."""
    while len(waiting) < ahead:
        future: Future = Future()
        try:
            job = next(jobs, None)
        except Exception as error:
            # The sampler failed while drawing ahead: raise it in place of the missing batch.
            future.set_exception(error)
            waiting.append(future)
            return False
        if job is None:
            return False
        waiting.append(future)
        tasks.put((future, job))
    return True


def _result(future: Future, timeout_s: float | None) -> Any:
    finished, _ = concurrent.futures.wait([future], timeout_s)
    if not finished:
        raise TimeoutError
    return future.result()


def _work(tasks: _Queue, number: int, begin: Callable[[int], None] | None) -> None:
    failure: BaseException | None = None
    if begin is not None:
        try:
            begin(number)
        except BaseException as error:  # re-raised in the consumer
            failure = error
    while (task := tasks.get()) is not None:
        future, job = task
        try:
            if failure is not None:
                raise failure
            future.set_result(job())
        except BaseException as error:  # re-raised in the consumer
            future.set_exception(error)
        del task, future, job  # an idle thread must not keep the last batch alive


def _stop(tasks: _Queue, threads: list[threading.Thread], wait: bool) -> None:
    try:
        while True:
            tasks.get_nowait()
    except queue.Empty:
        pass
    for _ in threads:
        tasks.put(None)
    for thread in threads:
        # Garbage collection may close the consumer in any thread, including one of these.
        if wait and thread is not threading.current_thread():
            thread.join(JOIN_TIMEOUT_S)
