"""The command line: ``lucid COMMAND``, or ``python -m lucid COMMAND``."""

import importlib
import sys

COMMANDS = ("train", "finetune", "classify", "export")


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] not in COMMANDS:
        print(f"usage: lucid {{{','.join(COMMANDS)}}} ...", file=sys.stderr)
        return 2
    # By name, so that only the chosen command and the packages it needs are imported.
    return importlib.import_module(f"lucid.cli.{words[0]}").main(words[1:])
