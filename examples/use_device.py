"""Options that several programs have."""

import argparse

import lucid


def use_device(parser: argparse.ArgumentParser, name: str | None) -> None:
    """Compute on the device that an option names, if it does. One that is not there ends the program with code 2."""
    try:
        if name:
            lucid.device(name)
    except RuntimeError as error:
        parser.error(str(error))


def positive(word: str) -> int:
    """The positive integer that ``word`` stands for, as a type for ``argparse``."""
    try:
        number = int(word)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {word!r}")
    return number
