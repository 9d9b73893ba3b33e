"""Write a model for use without Lucid: as a function that runs from C++ and Swift, or as weights for another library.

    lucid export convnext_tiny.fb_in1k tiny.mlxfn                        # the whole model, one file
    lucid export runs/digits/best.safetensors digits.mlxfn --batch-sizes 1 32
    lucid export convnext_tiny.fb_in1k tiny.mlxfn --pixels               # takes bytes, scales them itself
    lucid export mine.safetensors for_timm.safetensors --dialect timm    # weights under timm's names
    lucid export official.pth hub.safetensors --dialect huggingface

A ``.mlxfn`` file holds computation and weights. It takes float32 images (N, C, H, W) as ``transforms_for`` makes them
and gives logits (N, classes), or features of a model without classifier; with ``--pixels`` it takes uint8 (N, H, W, C),
cropped but not normalized. Beside it lies a ``.json`` with shapes, classes and preprocessing. MLX alone runs it, in any
of its languages:

    [logits] = mx.import_function("tiny.mlxfn")(images)           # Python
    auto logits = mx::import_function("tiny.mlxfn")({images})[0]; // C++, see run_exported.cpp
    let logits = try importFunction(from: url)(images)[0]         // Swift

- Shapes are fixed: MLX cannot trace slices and reshapes of unknown size. ``--batch-sizes`` puts several into one file,
  which hold the weights once.
- It runs on the kind of device, CPU or GPU, that exported it, with MLX's own convolutions: Lucid's kernels cannot be
  written to a file. On a CPU, ConvNeXt-T takes two to three times as long (2 cores, AMD EPYC, November 2026).
- The file is compared with the model before it gets its name.

The exit code is 0, 1 if the download or the comparison fails, 2 for something to put right in the command.
Needs pip install "lucid-mlx[train,hub]"; hub only to download.
"""

import argparse
import json
import sys
from pathlib import Path

from lucid._files import write_atomically
from lucid.cli._common import Parser, positive, use_device
from lucid.export import ExportError, description, export_function, export_weights
from lucid.models.weights.dialects import DIALECTS
from lucid.models.weights.hub import DownloadError
from lucid.training.inference import open_trained


def export(args: argparse.Namespace) -> str:
    """Write the file; what it is, in words."""
    kind = args.output.suffix
    if kind not in (".mlxfn", ".safetensors"):
        raise ValueError(f"the output must be called *.mlxfn or *.safetensors, got {args.output}")
    if not args.output.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {args.output.absolute().parent}")
    if kind == ".mlxfn" and args.dialect:
        raise ValueError("--dialect is for *.safetensors; a *.mlxfn file has no names")
    if kind == ".safetensors" and (args.pixels or args.batch_sizes):
        raise ValueError("--pixels and --batch-sizes are for *.mlxfn; weights have no shape of images")
    trained = open_trained(args.model, args.image_size)
    if kind == ".safetensors":
        export_weights(trained, args.output, args.dialect or "official")
        return f"weights of {trained.name} in {args.dialect or 'official'} names"
    found = export_function(trained, args.output, sorted(set(args.batch_sizes or [1])), args.pixels)
    notes = {"model": trained.name, **found, **description(trained)}
    write_atomically(args.output.with_suffix(".json"), json.dumps(notes).encode())
    shapes = " or ".join(str(tuple(shape)) for shape in found["shapes"])
    return f"{trained.name} as a function of {found['dtype']} {shapes}"


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a checkpoint (lucid.models.list_models(pretrained=True)), or a file of weights")
    parser.add_argument("output", type=Path, help="*.mlxfn or *.safetensors")
    parser.add_argument("--dialect", choices=DIALECTS, help="whose names the weights get (default: official)")
    parser.add_argument("--image-size", type=positive, metavar="PX", help="other than the model was trained for")
    parser.add_argument("--batch-sizes", type=positive, nargs="+", metavar="N", help="images at a time (1)")
    parser.add_argument("--pixels", action="store_true", help="take bytes (N, H, W, C), and normalize them inside")
    parser.add_argument(
        "--device", choices=["cpu", "gpu"], help="that will run it (default: the GPU where there is one)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    use_device(parser, args.device)
    try:
        print(f"{args.output}: {export(args)}, {args.output.stat().st_size / 1e6:.1f} MB")
    except (DownloadError, ExportError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        parser.error(" ".join(str(error).split()))
    return 0
