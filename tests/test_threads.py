"""Threads share streams and a lock; forked processes; the exit of a process. See also tests/thread_matrix.py."""

import copy
import os
import random
import re
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import _deferred, _device, _threads, nn
from lucid.nn import functional as F

ROOT = Path(__file__).parents[1]
forks = pytest.mark.skipif(not hasattr(os, "fork") or _device.gpu_backend() is not None, reason="a GPU does not fork")


def run(*arguments, timeout_s=120):
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return result.stdout


def script(code):
    return run("-c", textwrap.dedent(code))


def in_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_every_cell_of_the_matrix():
    run("-m", "tests.thread_matrix", "--repeat", "2")


def test_a_thread_uses_the_shared_streams():
    lucid.ones(1)
    stream = in_thread(lambda: (lucid.ones(1), mx.default_stream(mx.default_device()))[1])
    assert stream == mx.default_stream(mx.default_device())


@pytest.mark.parametrize(
    "first",
    [
        lambda x: x + 1,
        lambda x: x.sum(),
        lambda x: lucid.ones(2),
        lambda x: lucid.full((2,), 3.0),
        lambda x: lucid.eye(2),
        lambda x: lucid.tensor([1, 2], dtype=lucid.float16),
        lambda x: lucid.randn(2),
        lambda x: lucid.manual_seed(0),
        lambda x: lucid.random.get_state(),
        lambda x: nn.Linear(2, 2),
        lambda x: nn.Linear(2, 2)(x),
        lambda x: F.gelu(x),
        lambda x: lucid.optim.SGD([x.clone().requires_grad_()], 0.1).step(),
        lambda x: lucid.optim.EMA(nn.Linear(2, 2)).update(),
        lambda x: lucid.metrics.Accuracy(),
        lambda x: lucid.linalg.norm(x),
        lambda x: (x.detach().requires_grad_().sum()).backward(),
        lambda x: nn.BatchNorm2d(2),
        lambda x: lucid.models.create_model("convnextv2_atto", depths=(1, 1, 1, 1), dims=(4, 4, 4, 4)),
        lambda x: x.numpy(),
        lambda x: x.__setitem__(0, 1.0),
    ],
)
def test_whatever_a_thread_calls_first_prepares_it(first):
    """MLX numbers its streams: a thread that needed one of its own took a number."""
    number = re.compile(r"\d+")
    x = lucid.ones(2) + 1
    before = int(number.findall(str(mx.new_stream(mx.cpu)))[-1])
    in_thread(lambda: first(x))
    assert int(number.findall(str(mx.new_stream(mx.cpu)))[-1]) == before + 1


def test_what_an_ended_thread_left_unevaluated_has_its_value():
    x = in_thread(lambda: F.gelu(lucid.ones(3)) + 1)
    assert x.tolist() == pytest.approx([1.8413447] * 3)


def test_a_thread_may_start_with_backward():
    x = lucid.ones(3, requires_grad=True)
    in_thread((x * 2).sum().backward)
    assert x.grad.tolist() == [2.0] * 3


def test_gradients_flow_through_the_work_of_several_threads():
    x = lucid.ones(3, requires_grad=True)
    y = in_thread(lambda: x * 2)
    in_thread((y * y).sum().backward)
    assert x.grad.tolist() == [8.0] * 3


def test_no_grad_concerns_one_thread_only():
    with lucid.no_grad():
        assert in_thread(lambda: (lucid.ones(1, requires_grad=True) * 2).requires_grad)


def test_a_trace_does_not_suspend_evaluation_in_other_threads():
    @lucid.compile
    def double(x):
        evaluating.put(in_thread(_deferred.evaluating))
        return x * 2

    evaluating = SimpleQueue()
    double(lucid.ones(1))
    assert evaluating.get_nowait()


def while_traced(other, model):
    """The result of ``other()`` in a second thread while this one traces ``model``, with that thread's turn."""
    started, ended = threading.Event(), threading.Event()

    @lucid.compile(state=model)
    def traced(x):
        started.set()
        ended.wait(0.2)  # the other thread has time for what it does not wait for
        return model(x)

    def work():
        started.wait()
        try:
            return other()
        finally:
            ended.set()

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(work)
        with pytest.warns(UserWarning, match=r"_flag.* changed"):
            traced(lucid.ones(1, 4))
        return found.result()


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        pytest.param(lambda w: (w + 1).tolist(), 3.0, id="operator"),
        pytest.param(lambda w: lucid.add(w, other=w).sum().item() / 4, 4.0, id="keyword"),
        pytest.param(lambda w: w.sum(), 8.0, id="unevaluated"),
        pytest.param(lambda w: w[0, 0].item(), 2.0, id="item"),
        pytest.param(lambda w: w.detach().numpy(), 2.0, id="numpy"),
        pytest.param(lambda w: lucid.tensor(w.mlx), 2.0, id="mlx"),
        pytest.param(lambda w: lucid.tensor(w.detach()), 2.0, id="tensor"),
        pytest.param(lambda w: w.T.detach(), 2.0, id="view"),
        pytest.param(lambda w: copy.deepcopy(w).detach(), 2.0, id="deepcopy"),
        pytest.param(lambda w: w.tolist(), 2.0, id="tolist"),
        pytest.param(lambda w: lucid.autograd.grad((w * w).sum(), w)[0], 4.0, id="grad"),
    ],
)
def test_a_trace_in_another_thread_is_not_seen(read, expected):
    model = nn.Linear(4, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    found = while_traced(lambda: read(model.weight), model)
    np.testing.assert_array_equal(np.unique(lucid.tensor(found).detach().numpy()), [expected])


def test_what_other_threads_write_outlives_a_trace():
    model, x = nn.Linear(4, 1), lucid.zeros(3)
    mine, other = nn.Linear(2, 1), nn.Linear(2, 1)
    other.load_state_dict(mine.state_dict())

    def train(model):
        optimizer = lucid.optim.AdamW(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            model(lucid.ones(3, 2)).sum().backward()
            optimizer.step()
        x.add_(1)
        x.data = x + 1
        return [p.grad.tolist() for p in model.parameters()]

    assert while_traced(lambda: train(mine), model) == train(other)
    for one, two in zip(mine.parameters(), other.parameters(), strict=True):
        assert lucid.equal(one, two)
    assert x.tolist() == [4.0] * 3


def test_the_model_that_is_traced_may_be_trained_and_saved(tmp_path):
    """Each of these reads tensors of the traced model and keeps what it reads."""
    model = nn.Linear(4, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    model(lucid.ones(1, 4)).sum().backward()
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.5)
    accuracy = lucid.metrics.Accuracy()
    accuracy.update(lucid.eye(2), lucid.tensor([0, 1]))

    def work():
        ema = lucid.optim.EMA(model)
        norm = nn.utils.clip_grad_norm_(model.parameters(), 100.0)
        with ema.applied():
            inside = model.weight.detach().clone()
        lucid.save(model.state_dict(), tmp_path / "before.safetensors")
        optimizer.step()
        model.requires_grad_(False)
        model.weight.grad = None
        return norm.item(), inside.tolist(), ema.averages()["weight"].tolist(), accuracy.compute().item()

    assert while_traced(work, model) == (2.0, [[2.0] * 4], [[2.0] * 4], 1.0)
    assert model.weight.tolist() == [[1.5] * 4] and not model.weight.requires_grad
    assert lucid.load(tmp_path / "before.safetensors")["weight"].tolist() == [[2.0] * 4]


def test_checkpointed_layers_are_recomputed_unseen():
    """The recomputation gives parameters their recorded values for a moment."""
    model = nn.Linear(4, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    recomputing, ended = threading.Event(), threading.Event()
    calls = []

    def layer(x):
        calls.append(x)
        if len(calls) == 2:
            recomputing.set()
            ended.wait(0.2)
        return model(x)

    def other():
        recomputing.wait()
        try:
            return model.weight.detach().tolist(), model(lucid.ones(1, 4)).item()
        finally:
            ended.set()

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(other)
        out = lucid.utils.checkpoint(layer, lucid.ones(1, 4))
        with lucid.no_grad():
            model.weight.add_(1)
        out.sum().backward()
        assert found.result() == ([[3.0] * 4], 12.0)


def test_random_numbers_of_other_threads_are_not_the_functions():
    drawn, ended = [], threading.Event()

    def draw():
        while not ended.is_set():
            drawn.append((random.random(), np.random.rand()))  # noqa: NPY002
            time.sleep(1e-4)

    def busy(x):
        for _ in range(10**6):  # Python code, among which the other thread gets its turn
            pass
        return x * 2

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(draw)
        try:
            assert lucid.compile(busy)(lucid.ones(1)).item() == 2
            assert len(drawn) == len(set(drawn)) > 0
            for generator in (random, np.random):
                for function in (lambda x: x * generator.random(), lambda x: x + generator.randint(0, 9)):  # noqa: B023
                    with pytest.raises(RuntimeError, match=f"draws from .*{generator.__name__}"):
                        lucid.compile(function)(lucid.ones(1))
        finally:
            ended.set()
        work.result()
    assert sys.getprofile() is None


def test_web_servers_and_asyncio():
    assert script("""
        import asyncio
        import threading
        import urllib.request
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        import lucid
        from lucid import nn

        model = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Dropout(0.1)).eval()
        predict = lucid.compile(model)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                x = lucid.ones(1, 4)
                with lucid.no_grad():
                    same = lucid.allclose(model(x), predict(x), atol=1e-6)
                self.send_response(200 if same else 500)
                self.end_headers()

            def log_message(self, *_):
                pass

        def request(server):
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}") as response:
                return response.status

        async def main():
            with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
                threading.Thread(target=server.serve_forever, daemon=True).start()  # a failure ends the script
                print(await asyncio.gather(*(asyncio.to_thread(request, server) for _ in range(8))))
                server.shutdown()
            print(await asyncio.to_thread(lambda: model(lucid.ones(1, 4)).shape))

        asyncio.run(main())
        """).splitlines() == [str([200] * 8), "(1, 4)"]


@pytest.mark.parametrize("training", [False, True])
def test_daemon_threads_that_compute_do_not_disturb_the_exit(training):
    script(f"""
        import threading
        import lucid
        from lucid.nn import functional as F

        started = threading.Event()

        def work():
            x = lucid.ones(200, 200, requires_grad={training})
            while True:
                y = F.gelu(x @ x).sum()
                if {training}:
                    y.backward()
                y.item()
                started.set()

        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        started.wait()
    """)


@forks
def test_a_process_forked_after_the_first_evaluation_raises_and_does_not_hang():
    assert "forked" in script("""
        import os
        import lucid

        lucid.ones(3).numpy()
        child = os.fork()
        if child == 0:
            for use in (lucid.ones(3).numpy, lucid.ones(3).sum().item, lucid.randn(3).tolist):
                try:
                    use()
                except RuntimeError as error:
                    print(error)
                else:
                    raise SystemExit(1)
        else:
            assert os.waitpid(child, 0)[1] == 0
            assert lucid.ones(3).sum().item() == 3.0
    """)


@forks
def test_a_process_forked_before_it_computes():
    script("""
        import os
        import lucid

        child = os.fork()
        model = lucid.nn.Linear(3, 3)
        result = model(lucid.ones(1, 3)).sum().item()
        assert result == result
        if child:
            assert os.waitpid(child, 0)[1] == 0
    """)


def test_importing_starts_no_stream():
    script("""
        import mlx.core as mx
        import lucid
        assert lucid._threads._streams == []
    """)


def test_concurrent_evaluations_of_shared_unevaluated_arrays():
    shared = lucid.ones(8, 8)
    for _ in range(200):
        shared = shared * 1.01 - 0.01
    barrier = threading.Barrier(4)

    def read(number):
        barrier.wait()
        return (shared * number).sum().item()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == pytest.approx([64.0 * i for i in range(4)], rel=1e-4)


def test_the_lock_is_held_while_a_gradient_is_taken():
    held = []

    class Watched:
        def __enter__(self):
            held.append(True)

        def __exit__(self, *error):
            held.append(False)

    x = lucid.ones(2, requires_grad=True)
    y = x.exp().sum()
    lock, _threads.lock = _threads.lock, Watched()
    try:
        y.backward()
    finally:
        _threads.lock = lock
    assert held and held[::2] == [True] * (len(held) // 2)
