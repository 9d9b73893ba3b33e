"""The option ``--device``."""

import argparse

import lucid


def use_device(parser: argparse.ArgumentParser, name: str | None) -> None:
    """Compute on the device that an option names, if it does. One that is not there ends the program with code 2."""
    try:
        if name:
            lucid.device(name)
    except RuntimeError as error:
        parser.error(str(error))
