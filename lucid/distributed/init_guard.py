"""A process of its own that ends another one when it does not get ready in time.

MLX waits for its peers inside one call that holds Python's lock, so no thread of the waiting process can speak up.
Run as ``python init_guard.py PID TIMEOUT_S MESSAGE``; standard input is a pipe that the watched process closes when it
is ready, and that closes by itself when it dies.
"""

import os
import select
import signal
import sys


def main(pid: int, timeout_s: float, message: str) -> None:
    ready, _, _ = select.select([sys.stdin], [], [], timeout_s)
    if not ready:
        print(message, file=sys.stderr, flush=True)
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
