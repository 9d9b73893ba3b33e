"""``StopSignals``: Ctrl-C and SIGTERM become a wish that the training loop can grant at a good moment."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Inside, the first Ctrl-C or SIGTERM only sets ``requested``; the second one acts as if this were not here::

        with lucid.checkpoint.StopSignals() as stop:
            for images, labels in loader:
                step(images, labels)
                if stop.requested:
                    manager.save(state, step=...)
                    sys.exit(stop.exit_code)

    ``message`` is written to standard error at the first signal; None is silent. Enter it in the main thread, the one
    that Python hands signals to. A signal that the process was started to ignore, as the shell does with Ctrl-C for
    what a script puts into the background, stays ignored.

    Attributes:
        requested: whether a signal came.
        exit_code: 130 after Ctrl-C, 143 after SIGTERM, 0 without a signal: what a shell expects of the program.

    Raises:
        RuntimeError: entered in another thread than the main one.
    """

    def __init__(self, message: str | None = "Stopping after this step; once more stops at once.") -> None:
        self._message = message
        self._former: dict[int, Any] = {}
        self.requested = False
        self.exit_code = 0

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("StopSignals: signals come to the main thread only; enter it there")
        self.requested, self.exit_code = False, 0
        heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._former = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(self, *exc: object) -> None:
        self._restore_handlers()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            self._restore_handlers()
            os.kill(os.getpid(), number)
            return
        self.requested, self.exit_code = True, 128 + number
        if self._message is not None:
            with contextlib.suppress(OSError):  # a closed terminal
                os.write(2, f"\n{self._message}\n".encode())  # print() is not safe here

    def _restore_handlers(self) -> None:
        for number, handler in self._former.items():
            # None: it was not installed from Python, and cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former = {}
