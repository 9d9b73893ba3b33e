"""What quantization costs and saves: size, logits, accuracy and time of models on data that is at hand.

    python examples/benchmarks/quantization.py runs/digits                                # after make demo
    python examples/benchmarks/quantization.py runs/cifar10 --cifar10 data                # after lucid train
    python examples/benchmarks/quantization.py runs/digits convnext_tiny --json found.json

Models of one channel are evaluated on the test images of the digits that ship with scikit-learn, others on those of
CIFAR-10. The name of a variant stands for new weights, of which size and time alone are measured, at 224 px.

- "file" is the size of the weights file that models.save_checkpoint writes, "linear" the share of the quantized weights
  in the parameters.
- "logits" is the largest difference of a logit from those of the full weights, over all test images, relative to the
  largest of these; "same" how many images keep their class.
- "time" is that of a forward pass, relative to the full weights: the median of the ratios of passes that take turns. On
  a CPU it is the time of the processors, which other programs hardly change.
"""

import argparse
import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from timing import Parser, duration, positive_int, use_device, write_json

import lucid
from lucid import data, models, nn
from lucid._machine import headline
from lucid.benchmark.timing import interleaved_rounds, machine_of, seconds_of

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

_PIXELS = 224  # of the images for variants
_CHUNK = 500  # images in a pass of the evaluation


def scheme(text: str) -> tuple[int, int]:
    """Bits and group size, such as 8/64."""
    bits, _, group = text.partition("/")
    if not (bits.isdecimal() and group.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be BITS/GROUP_SIZE, such as 8/64, got {text!r}")
    return int(bits), int(group)


def images_and_labels(model: nn.Module, cifar10: str) -> tuple[lucid.Tensor, np.ndarray]:
    """The test images that the model is for, normalized, and their classes."""
    found: Any = data.Digits(train=False) if model.in_chans == 1 else data.CIFAR10(cifar10, train=False)
    mean, std = (np.reshape(one, (-1, 1, 1)) for one in (model.preprocessing.mean, model.preprocessing.std))
    pixels = (np.asarray(found.data, np.float32) / found.max_value - mean) / std
    return lucid.tensor(pixels.astype(np.float32)), np.asarray(found.targets)


def logits_of(model: nn.Module, images: lucid.Tensor) -> np.ndarray:
    with lucid.no_grad():
        return np.concatenate([model(part).numpy() for part in images.split(_CHUNK)])


def file_size(model: nn.Module) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        models.save_checkpoint(model, path)
        return path.stat().st_size


def run(model: nn.Module, images: lucid.Tensor) -> None:
    with lucid.no_grad():
        mx.eval(model(images).mlx)


def cost_of(program: Callable[[], None]) -> float:
    """Seconds of a run: of the processors on a CPU, whatever else they do meanwhile, and of the clock on a GPU."""
    if lucid.get_default_device().type != "cpu":
        return seconds_of(program)
    start = time.process_time()
    program()
    return time.process_time() - start


def measure(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """The table of a model, by scheme; "32" are the full weights."""
    is_variant = name in models.list_models()
    full = models.create_model(name) if is_variant else models.from_checkpoint(name)
    full.eval()
    quantized = {
        f"{bits}/{group}": lucid.quantize(copy.deepcopy(full), bits, group).eval() for bits, group in args.schemes
    }
    candidates = {"32": full, **quantized}
    rows: dict[str, dict[str, Any]] = {key: {"file_bytes": file_size(one)} for key, one in candidates.items()}
    for key, one in candidates.items():
        packed = sum(layer._quantized_size() for layer in one.modules())
        rows[key]["quantized_share"] = round(packed / one.num_parameters(), 4)
    if is_variant:
        images = lucid.rand(max(args.batch_sizes), 3, _PIXELS, _PIXELS)
    else:
        images, labels = (one[: args.images] for one in images_and_labels(full, args.cifar10))
        expected = logits_of(full, images)
        for key, one in candidates.items():
            found = logits_of(one, images)
            rows[key]["logits_difference"] = float(np.abs(found - expected).max() / np.abs(expected).max())
            rows[key]["same_class"] = float((found.argmax(1) == expected.argmax(1)).mean())
            rows[key]["accuracy"] = float((found.argmax(1) == labels).mean())
    for size in args.batch_sizes:
        for one in candidates.values():
            run(one, images[:size])
        passes = {key: partial(cost_of, partial(run, one, images[:size])) for key, one in candidates.items()}
        times = interleaved_rounds(passes, args.seconds, args.rounds)
        for key, found in times.items():
            ratios = [mine / other for mine, other in zip(found, times["32"], strict=True)]
            times_of = rows[key].setdefault("time", {})
            times_of[str(size)] = {
                "ratio": round(statistics.median(ratios), 3), "ms": round(1e3 * statistics.median(found), 2)
            }  # fmt: skip
    found = {"parameters": full.num_parameters(), "schemes": rows}
    return found if is_variant else found | {"images": len(labels)}


def show(name: str, table: dict[str, Any], sizes: list[int]) -> None:
    times = "".join(f"{f'time, {size}':>12}" for size in sizes)
    images = f", {table['images']:,} test images" if "images" in table else ""
    print(f"\n{name}, {table['parameters']:,} parameters{images}")
    print(f"{'bits/group':12}{'linear':>8}{'file':>12}{'logits':>10}{'same':>10}{'accuracy':>10}{times}")
    for key, row in table["schemes"].items():
        line = f"{key:12}{row['quantized_share']:8.1%}{row['file_bytes'] / 1e6:9.2f} MB"
        if "accuracy" in row:
            line += f"{row['logits_difference']:10.2%}{row['same_class']:10.2%}{row['accuracy']:10.2%}"
        else:
            line += " " * 30
        print(line + "".join(f"{row['time'][str(size)]['ratio']:12.2f}" for size in sizes), flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description="Measure size, logits, accuracy and time of quantized models.")
    parser.add_argument("models", nargs="+", help="weights files, run folders, or names of variants")
    parser.add_argument("--schemes", type=scheme, nargs="+", default=[(8, 64), (8, 32), (4, 64), (4, 32)],
                        metavar="BITS/GROUP", help="compared with full weights (8/64 8/32 4/64 4/32)")  # fmt: skip
    parser.add_argument("--cifar10", default="data", metavar="FOLDER", help="where CIFAR-10 is (data)")
    parser.add_argument("--images", type=positive_int, metavar="N", help="evaluate the first N test images (all)")
    parser.add_argument("--batch-sizes", type=positive_int, nargs="+", default=[1, 32], metavar="N",
                        help="images in the passes that are timed (1 32)")  # fmt: skip
    parser.add_argument("--rounds", type=positive_int, default=11, metavar="N", help="at least (11)")
    parser.add_argument("--seconds", type=duration, default=0.0, metavar="S", help="time each pass for this long (0)")
    parser.add_argument("--device", help="cpu, gpu, metal or cuda")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, too")
    args = parser.parse_args(argv)
    use_device(parser, args.device)
    machine = machine_of()
    print(headline(machine), end="")
    found = {}
    for one in args.models:
        name = one if one in models.list_models() else Path(one).name
        try:
            found[name] = measure(one, args)
        except (OSError, ValueError) as error:
            parser.error(str(error))
        show(name, found[name], args.batch_sizes)
        if args.json:  # after each model, as this can take long
            write_json(args.json, {"machine": machine, "models": found}, __file__, without_folders(args, argv))
    return 0


def without_folders(args: argparse.Namespace, argv: list[str] | None) -> list[str]:
    """The arguments of the command, without the folders of this machine."""
    own = {one: Path(one).name for one in [*args.models, args.cifar10, str(args.json)]}
    return [own.get(one, one) for one in (sys.argv[1:] if argv is None else argv)]


if __name__ == "__main__":
    sys.exit(main())
