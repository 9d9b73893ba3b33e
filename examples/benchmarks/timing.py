"""What the benchmarks share: options."""

import argparse
from typing import NoReturn

import lucid


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage, and exits with code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def use_device(parser: argparse.ArgumentParser, name: str | None) -> None:
    """Compute on the device that ``--device`` names, if any. Exit with code 2 where there is no such device."""
    try:
        if name:
            lucid.device(name)
    except RuntimeError as error:
        parser.error(str(error))
