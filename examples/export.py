"""Write a model for use without Lucid: as a function that runs from C++ and Swift, or as weights for another library.

    python examples/export.py convnext_tiny.fb_in1k tiny.mlxfn                        # the whole model, one file
    python examples/export.py runs/digits/best.safetensors digits.mlxfn --batch-sizes 1 32
    python examples/export.py convnext_tiny.fb_in1k tiny.mlxfn --pixels               # takes bytes, scales them itself
    python examples/export.py mine.safetensors for_timm.safetensors --dialect timm    # weights under timm's names
    python examples/export.py official.pth hub.safetensors --dialect huggingface

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
Needs pip install "lucid-mlx[examples,hub]"; hub only to download.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlx.core as mx
from recipes import Parser
from use_device import positive, use_device

import lucid
from lucid import kernels, models, nn, tape
from lucid._files import atomic_path, write_atomically
from lucid.models.weights.dialects import DIALECTS
from lucid.models.weights.hub import DownloadError

_LARGEST_DIFFERENCE = 1e-4  # of the file's logits from the model's, as a part of the largest


class ExportError(RuntimeError):
    """What was written does not compute what the model does."""


def computation(model: nn.Module, pixels: bool) -> Callable[[mx.array], mx.array]:
    """The model as a function on arrays. With ``pixels`` it takes bytes (N, H, W, C) and normalizes them."""
    mean, std = (mx.array(values) for values in (model.preprocessing.mean, model.preprocessing.std))

    def logits(x: mx.array) -> mx.array:
        if pixels:
            x = ((x.astype(mx.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)  # (N, C, H, W)
        with lucid.no_grad(), kernels.use_reference():
            return model(tape.wrap(x))._array

    return logits


def export_function(model: nn.Module, path: Path, batch_sizes: list[int], pixels: bool) -> dict[str, Any]:
    """Write ``path``, and say what it takes.

    Raises:
        ExportError: the file does not compute what the model does.
    """
    size, channels = model.preprocessing.image_size, model.in_chans
    # MLX writes constants as if they lay in memory row after row, whether they do or not.
    weights = {name: mx.contiguous(tensor._array) for name, tensor in model.state_dict().items()}
    model.load_state_dict(weights)
    mx.eval(list(weights.values()))
    function = computation(model, pixels)
    shape = (size, size, channels) if pixels else (channels, size, size)
    inputs = [example(n, shape, pixels) for n in batch_sizes]
    with atomic_path(path) as temporary:
        with mx.exporter(str(temporary), function) as export:
            for one in inputs:
                export(one)
        check(temporary, function, inputs)
    return {"shapes": [list(one.shape) for one in inputs], "dtype": "uint8" if pixels else "float32"}


def example(batch_size: int, shape: tuple[int, int, int], pixels: bool) -> mx.array:
    noise = mx.random.normal((batch_size, *shape), key=mx.random.key(batch_size))
    return (mx.sigmoid(noise) * 255).astype(mx.uint8) if pixels else noise


def check(path: Path, function: Callable[[mx.array], mx.array], inputs: list[mx.array]) -> None:
    imported = mx.import_function(str(path))
    for one in inputs:
        expected, [found] = function(one), imported(one)
        difference = (mx.abs(found - expected).max() / mx.maximum(mx.abs(expected).max(), 1e-6)).item()
        if not difference <= _LARGEST_DIFFERENCE:
            raise ExportError(f"{path}: logits differ from the model's by {difference:.1e} of the largest")


def export_weights(model: nn.Module, path: Path, dialect: str) -> None:
    """Weights under the names of ``dialect``, with classes and preprocessing in the metadata."""
    if getattr(model, "stem_type", "patch") != "patch" and model.patch_size != 4:
        raise ValueError(
            "a stem of one overlapping convolution looks like patches of 3 px in every dialect; *.mlxfn takes it"
        )
    models.save_checkpoint(model, path, dialect, name=model.checkpoint_name)


def description(model: nn.Module) -> dict[str, Any]:
    return {"classes": model.class_names, "preprocessing": asdict(model.preprocessing)}


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
    model = models.from_checkpoint(args.model, image_size=args.image_size)
    if kind == ".safetensors":
        export_weights(model, args.output, args.dialect or "official")
        return f"weights of {model.checkpoint_name} in {args.dialect or 'official'} names"
    found = export_function(model, args.output, sorted(set(args.batch_sizes or [1])), args.pixels)
    notes = {"model": model.checkpoint_name, **found, **description(model)}
    write_atomically(args.output.with_suffix(".json"), json.dumps(notes).encode())
    shapes = " or ".join(str(tuple(shape)) for shape in found["shapes"])
    return f"{model.checkpoint_name} as a function of {found['dtype']} {shapes}"


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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


if __name__ == "__main__":
    sys.exit(main())
