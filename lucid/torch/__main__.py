"""``python -m lucid.torch train.py ARGS``: run a PyTorch program with Lucid as ``torch``."""

import os
import runpy
import sys

from lucid.torch._install import install
from lucid.torch.distributed._rendezvous import publish

_USAGE = """usage: python -m lucid.torch SCRIPT [ARGUMENT ...]
       python -m lucid.torch -m MODULE [ARGUMENT ...]

Run a PyTorch program with Lucid: in this process, torch is lucid.torch."""


def main(arguments: list[str]) -> int:
    """Run the program that ``arguments`` name. Returns the exit status of a wrong call; the program sets its own."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        return 0 if arguments else 2
    is_module = arguments[0] == "-m"
    program = arguments[1:] if is_module else arguments
    if not program or (not is_module and program[0].startswith("-")):
        print(f"{_USAGE}\n\nlucid.torch: expected a script or -m MODULE, got {' '.join(arguments)}", file=sys.stderr)
        return 2
    if not is_module and not os.path.exists(program[0]):
        print(f"lucid.torch: there is no file {program[0]}", file=sys.stderr)
        return 2
    install()
    publish()
    sys.argv = program
    # Python put the working directory first; for a script it is the folder of the script.
    sys.path[0] = os.getcwd() if is_module else os.path.dirname(os.path.abspath(program[0]))
    if is_module:
        name = f"lucid.{program[0]}" if program[0].startswith("torch.") else program[0]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(program[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
