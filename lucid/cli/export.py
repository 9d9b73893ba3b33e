"""Export a model: as a function that runs from C++ and Swift, or as weights for another library.

    lucid export convnext_tiny.fb_in1k tiny.mlxfn                        # the whole model in one file
    lucid export runs/digits digits.mlxfn --batch-sizes 1 32
    lucid export convnext_tiny.fb_in1k tiny.mlxfn --pixels               # takes bytes and normalizes them itself
    lucid export mine.safetensors for_timm.safetensors --dialect timm    # weights with timm's names
    lucid export official.pth hub.safetensors --dialect huggingface

A .mlxfn file holds computation and weights. It takes float32 images (N, C, H, W) as preprocessed by
lucid.models.transforms_for, and returns logits (N, classes), or features if the model has no classifier; with --pixels
it takes uint8 images (N, H, W, C), cropped but not normalized. A .json file beside it has shapes, classes and
preprocessing. MLX alone runs it, in any of its languages:

    [logits] = mx.import_function("tiny.mlxfn")(images)           # Python
    auto logits = mx::import_function("tiny.mlxfn")({images})[0]; // C++, see examples/run_exported.cpp
    let logits = try importFunction(from: url)(images)[0]         // Swift

- Shapes are fixed, as MLX traces neither slices nor reshapes of unknown size. --batch-sizes puts several into one file,
  which holds the weights once.
- It runs on the kind of device, CPU or GPU, that exported it, with MLX's own convolutions: Lucid's kernels cannot be
  written to a file. On a CPU, ConvNeXt-T takes two to three times as long (2 cores, AMD EPYC, November 2026).
- The file is compared with the model before it gets its name.

The exit code is 0, 1 if the download or the comparison fails, 2 for a mistake in the command.
"""

import argparse
import sys
from pathlib import Path

from lucid import models
from lucid.cli._common import Parser, message_of, positive, use_device
from lucid.export import ExportError, export_function, export_weights
from lucid.models.weights.dialects import DIALECTS


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", help="a published checkpoint (lucid.models.list_models(pretrained=True)), a file of weights, or a run"
    )
    parser.add_argument("output", type=Path, help="*.mlxfn or *.safetensors")
    parser.add_argument("--dialect", choices=DIALECTS, help="the library whose names to use (default: official)")
    parser.add_argument("--image-size", type=positive, metavar="PX", help="another size than the model was trained for")
    parser.add_argument("--batch-sizes", type=positive, nargs="+", metavar="N", help="images per call (default: 1)")
    parser.add_argument("--pixels", action="store_true", help="take bytes (N, H, W, C) and normalize them inside")
    parser.add_argument(
        "--device",
        choices=["cpu", "gpu"],
        help="the kind of device that will run it (default: the GPU if there is one)",
    )
    return parser


def export(args: argparse.Namespace) -> str:
    """Write the file, and say what it is."""
    kind = args.output.suffix
    if kind not in (".mlxfn", ".safetensors"):
        raise ValueError(f"the output must be called *.mlxfn or *.safetensors, got {args.output}")
    if not args.output.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {args.output.absolute().parent}")
    if kind == ".mlxfn" and args.dialect:
        raise ValueError("--dialect is for *.safetensors; a *.mlxfn file has no names")
    if kind == ".safetensors" and (args.pixels or args.batch_sizes):
        raise ValueError("--pixels and --batch-sizes are for *.mlxfn; weights have no image shape")
    model = models.from_checkpoint(args.model, image_size=args.image_size)
    if kind == ".safetensors":
        export_weights(model, args.output, args.dialect or "official")
        return f"weights of {model.checkpoint_name} in {args.dialect or 'official'} names"
    found = export_function(model, args.output, args.batch_sizes or [1], pixels=args.pixels)
    shapes = " or ".join(str(tuple(shape)) for shape in found["shapes"])
    return f"{model.checkpoint_name} as a function of {found['dtype']} {shapes}"


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    use_device(parser, args.device)
    try:
        print(f"{args.output}: {export(args)}, {args.output.stat().st_size / 1e6:.1f} MB")
    except (models.DownloadError, ExportError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        parser.error(message_of(error))
    return 0
