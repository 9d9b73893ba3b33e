"""Options and JSON records that the benchmarks share; ``lucid.benchmark.timing`` measures."""

import argparse
import datetime
import json
import math
from pathlib import Path
from typing import Any, NoReturn

import lucid
from lucid._files import write_atomically


def write_json(path: Path, results: dict[str, Any], script: str, argv: list[str]) -> None:
    """Write ``results`` with the date and the command that produced them."""
    head = {
        "format": 1,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join(["python", f"examples/benchmarks/{Path(script).name}", *argv]),
    }
    write_atomically(path, (json.dumps(head | results, indent=1) + "\n").encode())


# Options -------------------------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage, and exits with code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def use_device(parser: argparse.ArgumentParser, name: str | None) -> None:
    """Compute on the device that ``--device`` names, if any. Exit with code 2 if there is no such device."""
    try:
        if name:
            lucid.set_default_device(name)
    except RuntimeError as error:
        parser.error(str(error))


def positive_int(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def duration(text: str) -> float:
    """Seconds, 0 or more."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, got {text!r}")
    return seconds
