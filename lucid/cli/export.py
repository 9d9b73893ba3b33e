"""Export a model: for an app, as a program for MLX or ONNX, or as weights or a folder for another library.

    lucid export convnext_tiny.fb_in1k tiny.mlxfn                        # the whole model in one file
    lucid export runs/digits digits.mlxfn --batch-sizes 1 32
    lucid export convnext_tiny.fb_in1k tiny.mlxfn --pixels               # takes uint8 images and normalizes them
    lucid export runs/photos Photos.mlpackage --verify                   # for Xcode: takes an image, returns its class
    lucid export convnext_tiny.fb_in1k tiny.onnx --verify
    lucid export runs/photos photos.onnx --pixels --softmax --dtype float16 --dynamic batch size
    lucid export mine.safetensors for_timm.safetensors --dialect timm    # weights with timm's names
    lucid export official.pth hub.safetensors --dialect huggingface
    lucid export runs/pets pets --dialect timm --license mit             # a folder that timm opens, with a model card
    lucid export runs/pets pets --dialect huggingface                    # one that transformers opens
    lucid export runs/photos small.safetensors --bits 8                  # quantized, for Lucid alone
    lucid export runs/segment-streets streets.onnx --image-size 512      # segments images

Programs take float32 images (N, C, H, W) as preprocessed by lucid.models.transforms_for, and return logits
(N, classes), or features if the model has no classifier. Those of segmenters (runs of "lucid segment", checkpoints of
mmsegmentation) return logits (N, classes, H, W). With --pixels they take uint8 images (N, H, W, C), cropped but not
normalized. A run of "lucid finetune --labels" returns a logit for each label, whose sigmoid is the probability, or its
numbers.

A .mlxfn file needs only MLX, in any of its languages. A .json file next to it lists shapes, classes and preprocessing.

    [logits] = mx.import_function("tiny.mlxfn")(images)           # Python
    auto logits = mx::import_function("tiny.mlxfn")({images})[0]; // C++, see examples/run_exported.cpp
    let logits = try importFunction(from: url)(images)[0]         // Swift

- Shapes are fixed, because MLX cannot trace slices and reshapes of unknown size. --batch-sizes puts several into one
  file, which stores the weights once.
- It runs on the type of device, CPU or GPU, that it was exported on, with MLX's own convolutions, because Lucid's
  kernels cannot be exported. On a CPU, ConvNeXt-T takes two to three times as long (2 cores, AMD EPYC, November 2026).
- The exported function is checked against the model before the file gets its final name.

A .mlpackage is an ML Program for iOS 16, macOS 13 and newer, written with coremltools (pip install
"lucid-mlx[coreml]"). It takes an image, normalizes it inside, and returns the name of the likeliest class and the
probability of each; for a segmenter, probabilities (1, classes, H, W). docs/coreml.md describes it. --verify runs it on
random pixels and prints the largest difference from the model: with Core ML on a Mac, where it also says what runs on
which device, and with NumPy elsewhere.

An .onnx file runs in ONNX Runtime, in browsers and on phones. Its metadata have classes and preprocessing. It takes any
number of images, unless --batch-sizes says how many, and with --dynamic batch size images of any size. --verify runs it
with onnxruntime and compares it with the model. Needs pip install "lucid-mlx[onnx]".

A folder has the weights, the configuration of timm or transformers, and a model card with the classes, the settings of
the run and its best accuracy. Files of an earlier export are replaced; others stay, also a README.md of your own, but
weights or a config.json of something else are an error. See lucid.models.save_pretrained, and
lucid.models.push_to_hub for the Hugging Face Hub.

The exit code is 0 on success, 1 if a download or the check fails, 2 for a usage error, and 130 after Ctrl-C.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from lucid import models
from lucid.cli import _export_coreml
from lucid.cli._common import Parser, add_bits_option, option, positive, quantize, run_job, use_device
from lucid.cli.info import best_result
from lucid.export import ExportError, export_function, export_weights, onnx
from lucid.models.weights.dialects import DIALECTS
from lucid.models.weights.save_folder import FOLDER_DIALECTS, README
from lucid.models.weights.upernet import is_segmenter


class Format(NamedTuple):
    """Writes a file, returns what it holds in words, and takes some of the options."""

    write: Callable[[Any, argparse.Namespace], str]
    options: tuple[str, ...]


def _function(model: Any, args: argparse.Namespace) -> str:
    found = export_function(model, args.output, args.batch_sizes or [1], pixels=args.pixels)
    shapes = " or ".join(str(tuple(shape)) for shape in found["shapes"])
    return f"{model.checkpoint_name} as a function of {found['dtype']} {shapes}"


def _onnx(model: Any, args: argparse.Namespace) -> str:
    sizes = args.batch_sizes or [None]
    if len(sizes) > 1:
        raise ValueError("--batch-sizes takes one number for an .onnx output; without it, the file takes any number")
    dynamic = args.dynamic or ([] if args.batch_sizes else ["batch"])
    found = onnx(
        model, args.output, dynamic=dynamic, batch_size=sizes[0], dtype=args.dtype or "float32",
        pixels="nhwc" if args.pixels else None, softmax=args.softmax, verify=args.verify,
    )  # fmt: skip
    [shape] = found["inputs"].values()
    checked = f", at most {found['difference']:.0e} of the largest output from the model" if args.verify else ""
    return f"{model.checkpoint_name} as ONNX in {found['dtype']}, images ({', '.join(map(str, shape))}){checked}"


def _weights(model: Any, args: argparse.Namespace) -> str:
    export_weights(model, args.output, args.dialect or "official")
    return f"weights of {model.checkpoint_name} in {args.dialect or 'official'} names"


def _folder(model: Any, args: argparse.Namespace) -> tuple[str, list[Path]]:
    best = best_result(Path(args.model) / "history.csv")
    metrics = {f"{best[2]}, epoch {best[0]}": best[3]} if best and best[2].endswith("accuracy") else None
    names = models.save_pretrained(model, args.output, dialect=args.dialect, license=args.license, metrics=metrics)
    library = "transformers" if args.dialect == "huggingface" else args.dialect
    kept = "" if README in names else f"; its {README} stays as it was"
    return f"{model.checkpoint_name} as a folder for {library}{kept}", [args.output / name for name in names]


FORMATS = {
    ".mlpackage": Format(_export_coreml.export, _export_coreml.OPTIONS),
    ".mlxfn": Format(_function, ("bits", "pixels", "batch_sizes")),
    ".onnx": Format(_onnx, ("pixels", "batch_sizes", "dynamic", "dtype", "softmax", "verify")),
    ".safetensors": Format(_weights, ("dialect", "bits")),
}
_FOLDER_OPTIONS = ("dialect",)
_FOR_SEGMENTERS = (".mlpackage", ".mlxfn", ".onnx")
_OPTIONS = sorted({name for one in FORMATS.values() for name in one.options})  # that not all formats take


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", help="a published checkpoint (lucid.models.list_models(pretrained=True)), a weights file, or a run"
    )
    parser.add_argument("output", type=Path, help=f"a {_listed(FORMATS)} file, or a folder for timm or transformers")
    parser.add_argument("--dialect", choices=DIALECTS, help="library whose parameter names to use (default: official)")
    parser.add_argument("--license", metavar="NAME", help='of the weights in a folder, such as "mit"')
    parser.add_argument("--image-size", type=positive, metavar="PX", help="image size, if other than the model's own")
    parser.add_argument("--batch-sizes", type=positive, nargs="+", metavar="N", help="images per call")
    parser.add_argument("--dynamic", nargs="+", choices=["batch", "size"], help="what may vary (default: batch)")
    parser.add_argument(
        "--dtype", choices=["float32", "float16"], help="of the weights (default: float32; .mlpackage: float16)"
    )
    add_bits_option(parser)
    parser.add_argument(
        "--pixels", action="store_true", help="take uint8 images (N, H, W, C), and normalize them inside"
    )
    parser.add_argument("--softmax", action="store_true", help="return probabilities in place of logits")
    parser.add_argument("--verify", action="store_true", help="run the file and compare it with the model")
    parser.add_argument(
        "--device",
        choices=["cpu", "gpu"],
        help="type of device that will run the file (default: the GPU if there is one)",
    )
    _export_coreml.add_options(parser)
    return parser


def _listed(kinds: Any) -> str:
    *first, last = kinds
    return f"{', '.join(first)} or {last}" if first else str(last)


def export(args: argparse.Namespace) -> tuple[str, list[Path]]:
    """Write the file or folder, and return a description of it and the paths written."""
    suffix = args.output.suffix
    kind = FORMATS.get(suffix)
    if args.dialect in FOLDER_DIALECTS and suffix != ".mlpackage" and (not suffix or args.output.is_dir()):
        kind = None
    elif args.license and suffix != ".mlpackage":
        raise ValueError(
            "--license requires a folder as output, and --dialect timm or --dialect huggingface, or a .mlpackage"
        )
    elif kind is None:
        raise ValueError(
            f"output must end with {_listed(FORMATS)}, got {args.output}; "
            "a folder requires --dialect timm or --dialect huggingface"
        )
    elif not args.output.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {args.output.absolute().parent}")
    for name in _OPTIONS:
        if getattr(args, name) and name not in (_FOLDER_OPTIONS if kind is None else kind.options):
            takers = [suffix for suffix, one in FORMATS.items() if name in one.options]
            raise ValueError(f"{option(name)} requires a {_listed(takers)} output, got {args.output}")
    if args.output.is_file() and Path(args.model).exists() and args.output.samefile(args.model):
        raise ValueError(f"{args.output} is the model itself; choose another output")
    if is_segmenter(args.model):
        if kind is None or suffix not in _FOR_SEGMENTERS:
            raise ValueError(f"output must end with {_listed(_FOR_SEGMENTERS)} for a segmenter, got {args.output}")
        model: Any = _segmenter(args)
    else:
        model = models.from_checkpoint(args.model, image_size=args.image_size).eval()
        _check_task(model, args)
    quantize(model, args.bits)
    return _folder(model, args) if kind is None else (kind.write(model, args), [args.output])


def _check_task(model: Any, args: argparse.Namespace) -> None:
    """Refuse what is for classes only, for a model of labels or numbers."""
    if model.task == "classification":
        return
    what = "several labels" if model.task == "multilabel" else "numbers"
    if args.softmax:
        raise ValueError(f"--softmax is for classes, but {args.model} predicts {what}")
    if args.output.suffix == ".mlpackage" and not args.logits:
        raise ValueError(f"{args.model} predicts {what}, not one class; a .mlpackage of it requires --logits")


def _segmenter(args: argparse.Namespace) -> models.UPerNet:
    model = models.load_segmenter(args.model)
    if size := args.image_size:
        model.preprocessing = replace(model.preprocessing, image_size=size, resize_size=size)
    return model


def _size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(one.stat().st_size for one in [path, *path.rglob("*")] if one.is_file())


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    use_device(parser, args.device)

    def job() -> int:
        description, paths = export(args)
        print(f"{args.output}: {description}, {sum(map(_size_of, paths)) / 1e6:.1f} MB")
        return 0

    return run_job(parser, job, (models.DownloadError, ExportError))
