"""What works in threads, each case in a process of its own whose exit code counts.

``python -m tests.thread_matrix forward four`` runs one case. ``python -m tests.thread_matrix --repeat 200`` runs every
case in 200 processes and prints a table; with ``--each 5``, five times in each process. Each case computes its expected
values in the main thread, after the threads.
"""

import argparse
import itertools
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import lucid
from lucid import nn
from lucid.nn import functional as F

THREADS = 4
PROCESSES = 4


def network():
    lucid.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 2, stride=2),
        nn.Conv2d(8, 8, 7, padding=3, groups=8),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 5),
    )


def images():
    return lucid.randn(2, 3, 8, 8)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


class Forward:
    """A model and an input that the main thread made and, unless it takes part, did not evaluate."""

    def __init__(self):
        self.model, self.x = network(), images()

    def run(self, number):
        return self.model(self.x).detach()  # evaluated by the main thread

    def check(self, results):
        expected = self.model(self.x).detach().numpy()
        for one in results:
            close(one.numpy(), expected)


class Backward(Forward):
    """Gradients of a shared model add up."""

    def run(self, number):
        loss = F.cross_entropy(self.model(self.x), lucid.tensor([1, 3]))
        loss.backward()
        return loss.item()

    def check(self, results):
        expected = network()
        expected.load_state_dict(self.model.state_dict())
        loss = F.cross_entropy(expected(self.x), lucid.tensor([1, 3]))
        loss.backward()
        close(results, [loss.item()] * len(results))
        for one, p in zip(self.model.parameters(), expected.parameters(), strict=True):
            close(one.grad.numpy(), len(results) * p.grad.numpy())


class Dropout:
    """Masks come from the random state of the thread."""

    def __init__(self):
        self.model, self.x = nn.Sequential(nn.Linear(16, 64), nn.Dropout(0.5)), lucid.randn(8, 16)

    def run(self, number):
        lucid.manual_seed(number)
        self.model(self.x)
        return self.model(self.x).detach().numpy()

    def check(self, results):
        for number, one in enumerate(results):
            np.testing.assert_array_equal(one == 0, self.run(number) == 0)
            close(one, self.run(number))


class Randn:
    """Without a seed, threads draw different numbers; seeded in a thread, the same as in the main thread."""

    def __init__(self):
        self.before = lucid.randn(1000)

    def run(self, number):
        own = lucid.randn(1000)
        lucid.manual_seed(number)
        return own, lucid.randn(1000)

    def check(self, results):
        drawn = [self.before.numpy(), *(own.numpy() for own, _ in results)]
        for i, one in enumerate(drawn):
            assert abs(one.mean()) < 0.2 and 0.8 < one.std() < 1.2
            assert not any((one == other).any() for other in drawn[:i])
        for number, (_, one) in enumerate(results):
            np.testing.assert_array_equal(one.numpy(), self.run(number)[1].numpy())


class Compiled:
    """Steps of one compiled function that several threads call are taken one after another."""

    def __init__(self):
        self.x = images()
        self.model, self.step = self.training()

    def training(self):
        model = network()
        optimizer = lucid.optim.AdamW(model.parameters(), lr=0.01)

        @lucid.compile(state=[model, optimizer])
        def step(x):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), lucid.tensor([1, 3]))
            loss.backward()
            optimizer.step()
            return loss

        return model, step

    def run(self, number):
        return self.step(self.x).item()

    def check(self, results):
        model, step = self.training()
        close(sorted(results), sorted(step(self.x).item() for _ in results))
        for one, p in zip(self.model.parameters(), model.parameters(), strict=True):
            close(one.detach().numpy(), p.detach().numpy())


class Noise:
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return lucid.randn(3) + index


class Served:
    """Compiled and eager calls share a model, which some threads trace while others train models of their own."""

    def __init__(self):
        self.model, self.x = network().eval(), images()
        self.predict = lucid.compile(self.model)

    def run(self, number):
        model = network()
        optimizer = lucid.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        found = []
        for _ in range(3):
            found.append((self.predict if number % 2 else self.model)(self.x).detach())
            optimizer.zero_grad()
            F.cross_entropy(model(self.x), lucid.tensor([1, 3])).backward()
            optimizer.step()
            with lucid.no_grad():
                model[4].bias.mul_(0.5)
        return found, [p.detach() for p in model.parameters()]

    def check(self, results):
        expected, trained = self.run(0)
        for found, parameters in results:
            for one in found:
                close(one.numpy(), expected[0].numpy())
            for one, other in zip(parameters, trained, strict=True):
                close(one.numpy(), other.numpy())


class Loader:
    """Random numbers that a dataset draws in background threads depend on the seed of the loader only."""

    def __init__(self):
        lucid.randn(3)

    def run(self, number):
        batches = [batch.numpy() for batch in lucid.data.DataLoader(Noise(), 2, num_workers=2, seed=number)]
        lucid.manual_seed(number)
        return np.concatenate(batches), lucid.randn(3).numpy()

    def check(self, results):
        for number, (noise, after) in enumerate(results):
            expected = self.run(number)
            np.testing.assert_array_equal(noise, expected[0])
            np.testing.assert_array_equal(after, expected[1])
            assert len(np.unique(noise)) == noise.size


CASES = {one.__name__.lower(): one for one in (Forward, Backward, Dropout, Randn, Compiled, Served, Loader)}


def in_thread(run):
    with ThreadPoolExecutor(1) as pool:
        return [pool.submit(run, 0).result()]


def in_both(run):
    first = run(0)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(run, 1).result()
    return [first, second, run(2)]


def in_four(run):
    barrier = threading.Barrier(THREADS)

    def together(number):
        barrier.wait()
        return run(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(together, range(THREADS)))


PLACES = {"thread": in_thread, "both": in_both, "four": in_four}


def run_once(case, place):
    made = CASES[case]()
    made.check(PLACES[place](made.run))


def repeat(count, each):
    """Run every case ``each`` times in each of ``count`` processes, and return how many processes failed.

    Each runs in a child of this process, which imports Lucid and computes nothing. PROCESSES of them run at a time.
    """
    failed = 0
    for case, place in itertools.product(CASES, PLACES):
        waiting, good = count, 0
        running = set()
        while waiting or running:
            if waiting and len(running) < PROCESSES:
                waiting -= 1
                child = os.fork()
                if child == 0:
                    for _ in range(each):
                        run_once(case, place)
                    return 0  # and exit as any script does
                running.add(child)
            else:
                child, status = os.wait()
                running.remove(child)
                good += status == 0
        failed += count - good
        print(f"{case:10}{place:8}{good:5} of {count} processes, {each} times each", flush=True)
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="?", choices=CASES)
    parser.add_argument("place", nargs="?", choices=PLACES)
    parser.add_argument("--repeat", type=int, metavar="N")
    parser.add_argument("--each", type=int, default=1, metavar="N")
    arguments = parser.parse_args()
    if arguments.repeat:
        sys.exit(repeat(arguments.repeat, arguments.each))
    run_once(arguments.case, arguments.place)
