"""Feeds damaged and malicious inputs to the readers of files.

    python -m tests.fuzz --inputs 1000000              # all targets, in equal parts
    python -m tests.fuzz --target pickles --only 17    # repeat one input

A target is a module in ``tests/fuzz/targets`` with two functions, and optionally a third:

- ``seeds() -> list[bytes]``: valid inputs to start from;
- ``check(data: bytes) -> None``: reads ``data``. Expected refusals are swallowed; an AssertionError is a violation, as
  is any other exception;
- ``mutate(data: bytes, rng: random.Random) -> bytes``: a change that keeps part of the format intact, so that mutants
  get past checksums and lengths. It is used for half of the inputs, before or instead of random changes of bytes.

While ``check`` runs, an audit hook forbids imports, execution of code, processes, sockets and writing to files other
than ``runner.scratch_file()``.
"""
