"""Check and time Lucid on this machine; write one JSON file and one page, to attach to an issue.

    lucid bench                             # on the GPU, if there is one: at most five minutes
    lucid bench --device cpu                # on the CPU
    lucid bench --only kernels              # are all kernels right?
    lucid bench --quick                     # tiny shapes: a few seconds, and the times mean nothing

Every kernel is compared with its reference; the depthwise convolution is timed beside a copy of the same size; a
ConvNeXt trains and predicts beside mlx.nn and, where it is installed, PyTorch. Without a GPU the ConvNeXt is a small
one. The files hold the chip, the system and versions, but no names of users, hosts or folders. Exit code 1 if a result
is wrong or a kernel cannot run.
"""

import argparse
import json
import sys
from pathlib import Path

from lucid._files import write_atomically
from lucid._machine import headline
from lucid.benchmark import page, run
from lucid.cli._common import Parser, add_device_option, message_of, use_device


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_device_option(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("lucid-bench"), metavar="FOLDER",
        help="folder for bench.json and bench.html (default: lucid-bench)",
    )  # fmt: skip
    parser.add_argument("--only", nargs="+", choices=run.SECTIONS, default=run.SECTIONS, help="sections to run")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, to see that everything runs")
    return parser


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    use_device(parser, args.device)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(message_of(error))
    print(headline(run.describe(None)), flush=True)
    results = run.run(args.quick, args.only, lambda line: print(line, flush=True))
    try:
        write_atomically(args.out / "bench.json", (json.dumps(results, indent=1, allow_nan=False) + "\n").encode())
        write_atomically(args.out / "bench.html", page.page(results).encode())
    except OSError as error:
        parser.error(message_of(error))
    print(f"{results['seconds']:.0f} s; see {args.out / 'bench.html'}, and attach it and bench.json to an issue.")
    if results["failures"]:
        print(f"{results['failures']} results are WRONG or failed; please report this.", file=sys.stderr)
    return int(results["failures"] > 0)
