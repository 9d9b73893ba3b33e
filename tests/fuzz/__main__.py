"""``python -m tests.fuzz``: run the fuzz targets for as many inputs as wanted."""

import argparse
import time

from tests.fuzz import runner


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", action="append", choices=runner.target_names(), help="default: all")
    parser.add_argument("--inputs", type=int, default=100_000, help="in total (default: 100,000)")
    parser.add_argument("--start", type=int, default=0, help="number of the first input; others give other inputs")
    parser.add_argument("--only", type=int, help="check the input with this number")
    args = parser.parse_args()
    names = args.target or runner.target_names()
    for name, count in runner.chunks(args.inputs, names):
        began = time.monotonic()
        if args.only is not None:
            runner.run(name, args.only, 1)
            continue
        runner.run(name, args.start, count, lambda index, name=name: print(f"\r{name}: {index:,}", end="", flush=True))
        print(f"\r{name}: {count:,} inputs in {time.monotonic() - began:.0f} s, no violation", flush=True)


if __name__ == "__main__":
    main()
