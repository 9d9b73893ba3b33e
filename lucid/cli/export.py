"""Export a model: as a function that runs from C++ and Swift, or as weights or a folder for another library.

    lucid export convnext_tiny.fb_in1k tiny.mlxfn                        # the whole model in one file
    lucid export runs/digits digits.mlxfn --batch-sizes 1 32
    lucid export convnext_tiny.fb_in1k tiny.mlxfn --pixels               # takes uint8 images and normalizes them
    lucid export mine.safetensors for_timm.safetensors --dialect timm    # weights with timm's names
    lucid export official.pth hub.safetensors --dialect huggingface
    lucid export runs/pets pets --dialect timm --license mit             # a folder that timm opens, with a model card
    lucid export runs/pets pets --dialect huggingface                    # one that transformers opens
    lucid export runs/photos small.safetensors --bits 8                  # quantized, for Lucid alone

A .mlxfn file holds the computation and the weights. It takes float32 images (N, C, H, W) as preprocessed by
lucid.models.transforms_for, and returns logits (N, classes), or features if the model has no classifier; with --pixels
it takes uint8 images (N, H, W, C), cropped but not normalized. A .json file next to it lists shapes, classes and
preprocessing. Running it needs only MLX, in any of its languages:

    [logits] = mx.import_function("tiny.mlxfn")(images)           # Python
    auto logits = mx::import_function("tiny.mlxfn")({images})[0]; // C++, see examples/run_exported.cpp
    let logits = try importFunction(from: url)(images)[0]         // Swift

- Shapes are fixed, because MLX cannot trace slices and reshapes of unknown size. --batch-sizes puts several into one
  file, which stores the weights once.
- It runs on the type of device, CPU or GPU, that it was exported on, with MLX's own convolutions, because Lucid's
  kernels cannot be exported. On a CPU, ConvNeXt-T takes two to three times as long (2 cores, AMD EPYC, November 2026).
- The exported function is checked against the model before the file gets its final name.

A folder has the weights, the configuration of timm or transformers, and a model card with the classes, the settings of
the run and its best accuracy; see lucid.models.save_pretrained, and lucid.models.push_to_hub for the Hugging Face Hub.

The exit code is 0 on success, 1 if a download or the check fails, 2 for a usage error, and 130 after Ctrl-C.
"""

import argparse
import sys
from pathlib import Path

from lucid import models
from lucid.cli._common import Parser, add_bits_option, message_of, positive, quantize, use_device
from lucid.cli.info import best_result
from lucid.export import ExportError, export_function, export_weights
from lucid.models.weights.dialects import DIALECTS
from lucid.models.weights.save_folder import FOLDER_DIALECTS


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", help="a published checkpoint (lucid.models.list_models(pretrained=True)), a weights file, or a run"
    )
    parser.add_argument("output", type=Path, help="a .mlxfn or .safetensors file, or a folder for timm or transformers")
    parser.add_argument("--dialect", choices=DIALECTS, help="library whose parameter names to use (default: official)")
    parser.add_argument("--license", metavar="NAME", help='of the weights in a folder, such as "mit"')
    parser.add_argument("--image-size", type=positive, metavar="PX", help="image size, if other than the model's own")
    parser.add_argument("--batch-sizes", type=positive, nargs="+", metavar="N", help="images per call (default: 1)")
    add_bits_option(parser)
    parser.add_argument(
        "--pixels", action="store_true", help="take uint8 images (N, H, W, C), and normalize them inside"
    )
    parser.add_argument(
        "--device",
        choices=["cpu", "gpu"],
        help="type of device that will run the file (default: the GPU if there is one)",
    )
    return parser


def export(args: argparse.Namespace) -> str:
    """Write the file, and return a description of it."""
    kind = args.output.suffix
    if args.dialect in FOLDER_DIALECTS and (not kind or args.output.is_dir()):
        return save_folder(args)
    if args.license:
        raise ValueError("--license requires a folder as output, and --dialect timm or --dialect huggingface")
    if kind not in (".mlxfn", ".safetensors"):
        raise ValueError(
            f"output must end with .mlxfn or .safetensors, got {args.output}; "
            "a folder requires --dialect timm or --dialect huggingface"
        )
    if not args.output.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {args.output.absolute().parent}")
    if kind == ".mlxfn" and args.dialect:
        raise ValueError("--dialect requires a .safetensors output; a .mlxfn file has no parameter names")
    if kind == ".safetensors" and (args.pixels or args.batch_sizes):
        raise ValueError("--pixels and --batch-sizes require a .mlxfn output; weights have no input shape")
    model = models.from_checkpoint(args.model, image_size=args.image_size)
    quantize(model, args.bits)
    if kind == ".safetensors":
        export_weights(model, args.output, args.dialect or "official")
        return f"weights of {model.checkpoint_name} in {args.dialect or 'official'} names"
    found = export_function(model, args.output, args.batch_sizes or [1], pixels=args.pixels)
    shapes = " or ".join(str(tuple(shape)) for shape in found["shapes"])
    return f"{model.checkpoint_name} as a function of {found['dtype']} {shapes}"


def save_folder(args: argparse.Namespace) -> str:
    """Save the model as a folder, and return a description of it."""
    if args.bits:
        raise ValueError("--bits requires a .mlxfn or .safetensors output; other libraries have no quantized layers")
    if args.pixels or args.batch_sizes:
        raise ValueError("--pixels and --batch-sizes require a .mlxfn output; a folder has no input shape")
    model = models.from_checkpoint(args.model, image_size=args.image_size)
    best = best_result(Path(args.model) / "history.csv")
    metrics = {f"{best[2]}, epoch {best[0]}": best[3]} if best and best[2].endswith("accuracy") else None
    models.save_pretrained(model, args.output, dialect=args.dialect, license=args.license, metrics=metrics)
    library = {"huggingface": "transformers"}.get(args.dialect, args.dialect)
    return f"{model.checkpoint_name} as a folder for {library}"


def _size_of(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    return sum(one.stat().st_size for one in path.iterdir()) if path.is_dir() else path.stat().st_size


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    use_device(parser, args.device)
    try:
        print(f"{args.output}: {export(args)}, {_size_of(args.output) / 1e6:.1f} MB")
    except (models.DownloadError, ExportError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        parser.error(message_of(error))
    return 0
