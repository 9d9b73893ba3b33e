"""Wrong calls of every public function: ``python -m tests.fuzz.wrong_calls --calls 20000``.

A correct call is changed in one to three places: a tensor gets another shape or dtype or is no tensor, a number is out
of range or no number, an argument is missing or too much. Nothing may crash, hang, or raise an error that is not
Lucid's own: one of MLX or nanobind, or of Python from deep inside. Results are evaluated, where a late error shows.
"""

import argparse
import collections
import random
import re
import time
import warnings
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np

import lucid
from lucid import _checks
from tests.fuzz.call_seeds import targets
from tests.fuzz.captured_calls import Call, Given, made, tensor
from tests.fuzz.watchdog import ended_if_it_hangs

_HANG_S = 60
_SHAPES = (
    (),
    (0,),
    (1,),
    (2,),
    (3,),
    (4,),
    (2, 3),
    (3, 2),
    (1, 3),
    (0, 3),
    (2, 3, 4),
    (2, 0, 3),
    (2, 3, 4, 4),
    (1,) * 6,
)
_DTYPES = ("float32", "float16", "bfloat16", "float64", "int64", "int32", "int8", "uint8", "bool", "complex64")
_INTEGERS = (-100, -7, -4, -3, -2, -1, 0, 1, 2, 3, 5, 8, 100, -(2**31) - 1, 2**63, 2**70)
_FLOATS = (-1.5, -0.0, 0.5, 2.5, 1e30, float("nan"), float("inf"), float("-inf"))
_OWN = re.compile(r"([A-Za-z_][\w.]*|[-+*/@%&|^<>]+=?)(: |\[)")
# What Python itself says of a call with wrong names or numbers of arguments.
_BINDING = re.compile(
    r"([\w.<>]+\(\) )?(got (an unexpected|multiple values|some positional)|missing (\d|a req)|takes |too many)"
)


def wrong_call(name: str, calls: list[Call], index: int) -> Call:
    """The changed call with this number, always the same."""
    rng = random.Random(f"{name}/{index}")
    args, kwargs = rng.choice(calls)
    args, kwargs = list(args), dict(kwargs)
    first = int(name.startswith("Tensor."))  # the tensor that the method is called on remains one
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        keys: list[Any] = [*range(len(args)), *kwargs]
        kind = rng.random()
        if kind < 0.03 and len(args) > first:
            args.pop(rng.randrange(first, len(args)))
        elif kind < 0.06:
            args.append(_anything(rng))
        elif kind < 0.08:
            kwargs[rng.choice(("dim", "dtype", "out", "size", "weight", "wrong"))] = _anything(rng)
        elif keys:
            key = rng.choice(keys)
            if key == "inputs_":
                inputs = list(kwargs[key])
                at = rng.randrange(len(inputs))
                inputs[at] = _changed(inputs[at], rng)
                kwargs[key] = tuple(inputs)
            elif isinstance(key, int):
                args[key] = _reshaped(args[key], rng) if key < first else _changed(args[key], rng)
            else:
                kwargs[key] = _changed(kwargs[key], rng)
    return tuple(args), kwargs


def _changed(value: Any, rng: random.Random) -> Any:
    if rng.random() < 0.15:
        return _anything(rng)
    if isinstance(value, Given):
        return _reshaped(value, rng)
    if isinstance(value, bool):
        return rng.choice((not value, 2, "yes", None, M))
    if isinstance(value, int):
        return rng.choice((*_INTEGERS, *_FLOATS[:3], None, "a", True, [1, 0], (), tensor(dtype="int64"), tensor(2)))
    if isinstance(value, float):
        return rng.choice((*_FLOATS, 1j, None, "a", [0.5], tensor(), tensor(2, dtype="int32"), 2**70))
    if isinstance(value, str):
        return rng.choice(("", "wrong", "sum", "float32", "complex64", 0, None, b"sum", ["mean"]))
    if isinstance(value, list | tuple):
        items = list(value)
        kind = rng.random()
        if kind < 0.5 and items:
            at = rng.randrange(len(items))
            items[at] = _changed(items[at], rng)
        elif kind < 0.65 and items:
            items.pop()
        elif kind < 0.8:
            items.append(items[0] if items else 1)
        else:
            return rng.choice(([], (), None, "abc", 7, {}, [[1], [1, 2]]))
        return type(value)(items)
    if isinstance(value, dict):
        return {key: _changed(one, rng) if rng.random() < 0.5 else one for key, one in value.items()}
    return _anything(rng)


def _reshaped(value: Given, rng: random.Random) -> Given:
    kind = rng.random()
    shape = rng.choice(_SHAPES) if kind < 0.65 else value.shape
    dtype = rng.choice(_DTYPES) if kind > 0.4 else _checks.dtype_name(value.dtype)
    return tensor(*shape, dtype=dtype)


M = tensor(2, 3)


def _anything(rng: random.Random) -> Any:
    kind = rng.randrange(8)
    if kind < 3:
        return tensor(*rng.choice(_SHAPES), dtype=rng.choice(_DTYPES))
    if kind == 3:
        return rng.choice(_INTEGERS)
    if kind == 4:
        return rng.choice(_FLOATS)
    return rng.choice(
        (None, None, "text", "", b"bytes", True, 1j, object, slice(0, 5, -1), (), [], [1, 2], [[1], [1, 2]], ["a"], {},
         {1}, [None], _ARRAY, np.float32(2), lucid.float32, lucid.int64, Ellipsis, abs, [M, tensor(3)], (M, M))
    )  # fmt: skip


_ARRAY = np.array(["a", None], dtype=object)


def fault(function: Callable[..., Any], call: Call) -> tuple[bool, str]:
    """Whether the call raised an error, and what is wrong with what it did ("" for nothing)."""
    args, kwargs = made(call[0]), made(call[1])
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        return True, _objection(error)
    try:
        _evaluate(result)
        _evaluate([args, kwargs])  # what an operation in place has changed
    except Exception as error:
        return True, f"raised at evaluation: {type(error).__name__}: {error}"
    return False, ""


def _objection(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, KeyError):
        text = str(error.args[0]) if error.args else ""
    if _OWN.match(text) or (isinstance(error, TypeError) and _BINDING.match(text)):
        return ""
    return f"{type(error).__name__}: {text}"


def _evaluate(value: Any) -> None:
    if isinstance(value, lucid.Tensor):
        mx.eval(value.mlx)
    elif isinstance(value, dict):
        _evaluate(list(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            _evaluate(one)


def run(
    names: list[str], wrong: int, report: Callable[[str], None] = lambda name: None
) -> tuple[int, dict[str, list[str]]]:
    """Make calls until each function has raised ``wrong`` errors, or has been called four times as often.

    Returns:
        The number of errors raised, and what was wrong by the name of the function.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated arguments, for one
        with ended_if_it_hangs(_HANG_S) as restart_timer:
            return _run(names, wrong, report, restart_timer)


def _run(
    names: list[str], wrong: int, report: Callable[[str], None], restart_timer: Callable[[], None]
) -> tuple[int, dict[str, list[str]]]:
    known = targets()
    raised, faults = 0, collections.defaultdict(list)
    lucid.manual_seed(0)
    for name in names:
        report(name)
        restart_timer()
        function, calls = known[name]
        own = 0
        for index in range(4 * wrong):
            call = wrong_call(name, calls, index)
            failed, what = fault(function, call)
            if what:
                faults[name].append(f"{name}{call[0]} {call[1] or ''}: {what} (call {index})")
            own += failed
            if own == wrong:
                break
        raised += own
    return raised, dict(faults)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.wrong_calls", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="errors to raise in total (default: 20,000)")
    parser.add_argument("--target", action="append", help="functions whose names contain this; default: all")
    parser.add_argument("--all", action="store_true", help="show all faults of a function")
    parser.add_argument("--verbose", action="store_true", help="show the names of the functions before they are called")
    args = parser.parse_args()
    names = [name for name in targets() if not args.target or any(part in name for part in args.target)]
    began = time.monotonic()
    raised, faults = run(
        names,
        -(-args.calls // len(names)),
        (lambda name: print(name, flush=True)) if args.verbose else (lambda name: None),
    )
    for found in faults.values():
        for one in found if args.all else found[:1]:
            print(one[:400], f"[{len(found)} faults]" if not args.all else "")
    seconds = time.monotonic() - began
    print(
        f"{raised:,} wrong calls of {len(names)} functions in {seconds:.0f} s: {sum(map(len, faults.values())):,} "
        f"faults in {len(faults)} functions"
    )


if __name__ == "__main__":
    main()
