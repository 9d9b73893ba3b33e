"""Anomaly mode names the operation that made a NaN, and the line that called it."""

import pytest

import lucid
from lucid import autograd


def test_a_nan_of_the_backward_pass_raises():
    x = lucid.zeros(2, requires_grad=True)
    with autograd.detect_anomaly():
        y = x.sqrt() * 0
        with pytest.raises(
            RuntimeError, match=r"sqrt: the gradient of input 0 has NaN.*test_anomaly.py:\d+, in test_a"
        ):
            y.sum().backward()


def test_a_nan_of_the_forward_pass_warns():
    x = lucid.tensor([-1.0, 1.0])
    with autograd.detect_anomaly():
        with pytest.warns(UserWarning, match=r"log: the result has NaN, but no argument has, called at .*test_anomaly"):
            y = x.log()
        y * 2  # the NaN was there before


def test_the_mode_is_restored():
    assert not autograd.is_anomaly_enabled()
    with autograd.set_detect_anomaly(True, check_nan=False):
        assert autograd.is_anomaly_enabled() and not autograd.is_anomaly_check_nan_enabled()
        lucid.tensor([-1.0]).log()
    assert not autograd.is_anomaly_enabled() and autograd.is_anomaly_check_nan_enabled()
