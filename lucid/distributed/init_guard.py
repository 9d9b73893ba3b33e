"""A separate process that kills another one if it is not ready in time.

MLX waits for its peers in a single call that holds the GIL, so a thread in the waiting process could not do this. Run
as ``python init_guard.py PID TIMEOUT_S MESSAGE``; standard input is a pipe that the watched process closes when it is
ready, and that the system closes when it dies.
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
