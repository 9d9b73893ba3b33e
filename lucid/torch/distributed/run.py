"""``python -m lucid.torch -m torch.distributed.run``: start several processes on this machine, as ``torchrun`` does."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from lucid.torch.distributed._rendezvous import free_port


def main(arguments: list[str] | None = None) -> int:
    """Start the processes and wait for them. Returns the first exit status that is not 0; the others are stopped."""
    parser = argparse.ArgumentParser(prog="torch.distributed.run", allow_abbrev=False)
    parser.add_argument("--nproc_per_node", "--nproc-per-node", type=int, default=1)
    parser.add_argument("--nnodes", default="1")
    parser.add_argument("--node_rank", "--node-rank", type=int, default=0)
    parser.add_argument("--master_addr", "--master-addr", default="127.0.0.1")
    parser.add_argument("--master_port", "--master-port", type=int, default=0)
    parser.add_argument("--standalone", action="store_true", help="has no effect")
    parser.add_argument("--use_env", "--use-env", action="store_true", help="has no effect")
    parser.add_argument("-m", "--module", action="store_true", help="the program is a module")
    parser.add_argument("program")
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    size = given.nproc_per_node * int(given.nnodes)
    command = [sys.executable, "-m", "lucid.torch", *(["-m"] if given.module else []), given.program, *given.rest]
    common = {
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(given.nproc_per_node),
        "MASTER_ADDR": given.master_addr,
        "MASTER_PORT": str(given.master_port or free_port()),
    }
    processes = [
        subprocess.Popen(
            command,
            env={
                **os.environ,
                **common,
                "RANK": str(given.node_rank * given.nproc_per_node + number),
                "LOCAL_RANK": str(number),
            },
        )
        for number in range(given.nproc_per_node)
    ]
    status = 0
    try:
        for process in processes:
            status = process.wait() or status
            if status:
                break
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
    return status


if __name__ == "__main__":
    sys.exit(main())
