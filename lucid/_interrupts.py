"""Ctrl-C while the ``lucid`` command starts: exit code 130, and no traceback.

The imports take about a second and come before any code of the command could catch the interruption, so ``import
lucid`` handles the signal until the command is ready. It does so for the command alone: in other programs it leaves
signals as they are.
"""

import itertools
import os
import signal
import sys
import threading
from types import FrameType

EXIT_CODE = 128 + signal.SIGINT


def _exit_quietly_until_ready() -> None:
    """Exit at Ctrl-C, if this process is the command."""
    handler = signal.getsignal(signal.SIGINT)
    if _is_command() and handler is signal.default_int_handler and _is_main_thread():
        signal.signal(signal.SIGINT, _exit)


def ready() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _exit and _is_main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_command() -> bool:
    name = sys.argv[0] if sys.argv else ""
    if name == "-m":  # until Python has found the module to run
        words = sys.orig_argv
        return "-mlucid" in words or ("-m", "lucid") in itertools.pairwise(words)
    return os.path.basename(name) == "lucid"


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _exit(number: int, frame: FrameType | None) -> None:
    os._exit(EXIT_CODE)  # an exception could be swallowed by whatever is imported now


_exit_quietly_until_ready()
