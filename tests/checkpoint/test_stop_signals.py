"""StopSignals: the first signal sets a flag, the second one acts."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from lucid.checkpoint import StopSignals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_sets_the_flag(number, code, capfd):
    before = signal.getsignal(number)
    with StopSignals(message="Bye.") as stop:
        assert not stop.requested and stop.exit_code == 0
        signal.raise_signal(number)
        assert stop.requested and stop.exit_code == code
    assert signal.getsignal(number) is before
    assert capfd.readouterr().err == "\nBye.\n"


def test_a_second_ctrl_c_interrupts(capfd):
    def twice():
        with StopSignals(message=None):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        twice()
    assert signal.getsignal(signal.SIGINT) is before
    assert capfd.readouterr().err == ""


def test_a_second_sigterm_ends_the_process():
    program = (
        "import os, signal; from lucid.checkpoint import StopSignals\n"
        "with StopSignals() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print(stop.requested, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print('never')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=os.getcwd())
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == "True\n" and "repeat to stop immediately" in done.stderr


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals(message=None) as stop:
            signal.raise_signal(signal.SIGINT)
            assert not stop.requested
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_can_be_entered_again():
    stop = StopSignals(message=None)
    with stop:
        signal.raise_signal(signal.SIGTERM)
    with stop:
        assert not stop.requested


def test_other_threads_are_refused():
    errors = []

    def enter():
        try:
            StopSignals().__enter__()
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert errors == ["StopSignals: signals reach only the main thread; enter it there"]
