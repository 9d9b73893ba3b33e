"""The options of ``lucid export`` for Core ML packages."""

import argparse
from typing import Any

from lucid import models
from lucid.cli._common import positive
from lucid.export import coreml
from lucid.export._coreml.package import COMPRESSIONS

# Options that only a package has, with their defaults.
_OWN: dict[str, Any] = {
    "compress": None, "sizes": [], "size_range": None, "color": "RGB", "logits": False, "tensor": False,
    "target": "iOS16", "author": "", "description": "", "model_version": "", "input_description": "",
}  # fmt: skip
OPTIONS = ("batch_sizes", "dtype", "verify", *_OWN)


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("Core ML (.mlpackage)")
    group.add_argument("--compress", choices=COMPRESSIONS, help="bits for each weight (default: all)")
    group.add_argument("--sizes", type=positive, nargs="+", metavar="PX", help="further image sizes that it takes")
    group.add_argument(
        "--size-range", type=positive, nargs=2, metavar=("MIN", "MAX"), help="any image size in this range, in px"
    )
    group.add_argument("--color", choices=["RGB", "BGR"], help="channels as the model was trained (default: RGB)")
    group.add_argument("--logits", action="store_true", help="no softmax and no class names")
    group.add_argument("--tensor", action="store_true", help="take a normalized tensor, not an image")
    group.add_argument("--target", choices=["iOS16", "iOS17", "iOS18"], help="oldest system (default: iOS16, macOS 13)")
    for name in ("author", "description", "model-version", "input-description"):
        group.add_argument(f"--{name}", metavar="TEXT", help="shown by Xcode")


def export(model: Any, args: argparse.Namespace) -> str:
    """Write the package, and return a description of it."""
    chosen = {name: getattr(args, name) or default for name, default in _OWN.items()}
    batches = args.batch_sizes or [1]
    if len(batches) > 2:
        raise ValueError("--batch-sizes of a .mlpackage are one number, or the smallest and the largest")
    metadata = {
        key: chosen[name]
        for key, name in (
            ("author", "author"), ("description", "description"),
            ("version", "model_version"), ("input_description", "input_description"),
        )
        if chosen[name]
    }  # fmt: skip
    if args.license:
        metadata["license"] = args.license
    maps = isinstance(model, models.UPerNet)  # whose class names are not those of the image
    found = coreml(
        model, args.output, sizes=chosen["sizes"], size_range=chosen["size_range"],
        batch_size=batches[0] if len(batches) == 1 else (min(batches), max(batches)),
        image=False if chosen["tensor"] else None, color=chosen["color"],
        class_names=() if chosen["logits"] or maps else None,
        softmax=not chosen["logits"] if maps else None, precision=args.dtype or "float16",
        compress=chosen["compress"], target=chosen["target"], metadata=metadata, verify=args.verify,
    )  # fmt: skip
    return described(found)


def described(found: dict[str, Any]) -> str:
    """The report of ``lucid.export.coreml`` in a line."""
    kind = found["compress"] or found["precision"]
    text = f"{found['model']} as {kind} of {', '.join(found['inputs'].values())}"
    if found["classes"]:
        text += f", with the names of {len(found['classes'])} classes"
    if "difference" in found:
        text += f"; differs by {found['difference']:.1e} of the largest output, run by {found['runs on']}"
    if "operations" in found:
        text += "; " + ", ".join(f"{count} operations on {name}" for name, count in found["operations"].items())
    return text
