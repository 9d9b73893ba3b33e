"""Ends a process that hangs."""

import contextlib
import faulthandler
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def ended_if_it_hangs(limit_s: float) -> Iterator[Callable[[], None]]:
    """Call the result before each part of the work: if a part takes longer, the process ends with a traceback.

    Afterwards nothing ends it, however the block was left.
    """
    try:
        yield lambda: faulthandler.dump_traceback_later(limit_s, exit=True)
    finally:
        faulthandler.cancel_dump_traceback_later()
