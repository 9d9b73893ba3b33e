"""Runs fuzz targets: generates inputs, and watches what the readers do."""

import importlib
import pkgutil
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.fuzz import targets
from tests.fuzz.mutation import mutated
from tests.fuzz.watchdog import ended_if_it_hangs

_HANG_S = 120
_FORBIDDEN = (
    "exec",
    "compile",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
)
_FORBIDDEN_CHANGES = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.truncate",
    "shutil.",
)


def target_names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(targets.__path__))


def load_target(name: str) -> ModuleType:
    return importlib.import_module(f"tests.fuzz.targets.{name}")


def scratch_file(name: str) -> Path:
    """A path that the target may write its input to."""
    return Path(_folder().name) / name


def run(name: str, start: int, count: int, report: Callable[[int], None] = lambda index: None) -> None:
    """Check the inputs with the numbers from ``start``.

    Raises:
        AssertionError: A violation; the message says how to repeat it.
    """
    target = load_target(name)
    seeds = target.seeds()
    for seed in seeds:  # everything that is imported or compiled on first use
        target.check(seed)
    with ended_if_it_hangs(_HANG_S) as restart_timer:
        for index in range(start, start + count):
            if index % 256 == 0:
                restart_timer()
                report(index)
            data = make_input(name, target, seeds, index)
            try:
                with _watched():
                    target.check(data)
            except Exception as error:
                raise AssertionError(
                    f"{type(error).__name__}: {error}; repeat with: python -m tests.fuzz --target {name} --only {index}"
                ) from error


def make_input(name: str, target: ModuleType, seeds: list[bytes], index: int) -> bytes:
    """The input with this number, always the same."""
    rng = random.Random(f"{name}/{index}")
    data = rng.choice(seeds)
    structured = getattr(target, "mutate", None)
    if structured is not None and rng.random() < 0.5:
        data = structured(data, rng)
        if rng.random() < 0.8:
            return data
    return mutated(data, rng, seeds)


# What runs while a target checks an input ----------------------------------------------------------------------------

_state: dict[str, Any] = {"folder": None, "hooked": False, "watching": False, "violations": []}


def _folder() -> tempfile.TemporaryDirectory[str]:
    if _state["folder"] is None:
        _state["folder"] = tempfile.TemporaryDirectory(
            prefix="fuzz", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
        )
    return _state["folder"]


class _watched:
    def __enter__(self) -> None:
        if not _state["hooked"]:
            sys.addaudithook(_audit)
            _state["hooked"] = True
        _state["violations"].clear()
        _state["watching"] = True

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        _state["watching"] = False
        assert not _state["violations"], f"forbidden while reading: {_state['violations'][:3]}"


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _state["watching"]:
        return
    writes = event == "open" and _opens_for_writing(*arguments)
    # Codecs are imported on first use, of names that Python itself chooses.
    imports = event == "import" and not str(arguments[0]).startswith("encodings")
    if writes or imports or event in _FORBIDDEN or event.startswith(_FORBIDDEN_CHANGES):
        _state["violations"].append((event, repr(arguments)[:200]))


def _opens_for_writing(path: Any, mode: Any, flags: Any) -> bool:
    if not isinstance(mode, str) or not set(mode) & set("wax+"):
        return False
    return not str(path).startswith(_folder().name)


def chunks(total: int, names: list[str]) -> Iterator[tuple[str, int]]:
    """How many of ``total`` inputs each target gets."""
    for position, name in enumerate(names):
        yield name, total // len(names) + (position < total % len(names))
