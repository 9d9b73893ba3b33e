"""``StopSignals``: turns Ctrl-C and SIGTERM into a flag that the training loop checks between steps."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Inside the block the first Ctrl-C or SIGTERM only sets ``requested``; the second one acts as usual::

        with lucid.checkpoint.StopSignals() as stop:
            for images, labels in loader:
                step(images, labels)
                if stop.requested:
                    manager.save(state, step=...)
                    sys.exit(stop.exit_code)

    Must be entered in the main thread, which receives Python's signals. Signals that the process already ignores, such
    as Ctrl-C for background jobs of a shell script, stay ignored.

    Args:
        message: Text written to standard error at the first signal; None for silence.

    Attributes:
        requested: Whether a signal arrived.
        exit_code: 130 after Ctrl-C, 143 after SIGTERM, 0 otherwise, as shells expect.

    Raises:
        RuntimeError: entered outside the main thread.
    """

    def __init__(self, message: str | None = "Stopping after this step; repeat to stop immediately.") -> None:
        self._message = message
        self._former: dict[int, Any] = {}
        self.requested = False
        self.exit_code = 0

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("StopSignals: signals reach only the main thread; enter it there")
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
            # None: the handler was not installed from Python and cannot be restored.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former = {}
