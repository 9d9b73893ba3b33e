"""The command line: ``lucid COMMAND``, or ``python -m lucid COMMAND``."""

import importlib
import os
import sys

from lucid import _interrupts
from lucid._version import __version__

COMMANDS = {
    "train": "train a ConvNeXt on CIFAR-10, CIFAR-100 or handwritten digits",
    "finetune": "fine-tune a pretrained ConvNeXt on a folder of photos",
    "pretrain": "pre-train a ConvNeXt on images without labels",
    "classify": "classify images with a published checkpoint or a model of your own",
    "serve": "serve a page on this computer that classifies photos and shows heat maps",
    "segment": "train on photos with masks, or segment photos: a class for every pixel",
    "probe": "measure how well the features of a model separate the classes of a folder of photos",
    "export": "write a model for MLX, ONNX or Core ML, or as weights for another library",
    "bench": "check and time the kernels and a ConvNeXt on this machine, for a report",
    "info": "describe this installation, a model, a weights file or a run",
}
_HELP = """usage: lucid COMMAND ...

{commands}

lucid COMMAND --help explains a command. lucid --version prints the version.
"""


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    name = words[0] if words else "--help"
    if name in ("-h", "--help"):
        print(_HELP.format(commands="\n".join(f"  {name:<10} {about}" for name, about in COMMANDS.items())), end="")
        return 0
    if name == "--version":
        print(f"lucid {__version__}")
        return 0
    if name not in COMMANDS:
        print(f"lucid: error: unknown command {name!r}, expected one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    try:
        # By name, so that only the packages that the command needs are imported.
        command = importlib.import_module(f"lucid.cli.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "lucid").partition(".")[0] == "lucid":
            raise
        package = {"PIL": "Pillow"}.get(str(error.name), error.name)
        print(f'lucid {name}: error: {package} is not installed: pip install "lucid-mlx[train]"', file=sys.stderr)
        return 2
    try:
        _interrupts.ready()
        code: int = command.main(words[1:])
    except KeyboardInterrupt:
        print(f"\nlucid {name}: interrupted", file=sys.stderr)
        return _interrupts.EXIT_CODE
    except BrokenPipeError:  # the reader of a pipe, head for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
