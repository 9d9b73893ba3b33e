"""Enabling and disabling recording."""

import lucid
from tests.checking import leaf


def test_no_grad_records_nothing_and_enable_grad_records_again():
    x, _ = leaf(3)
    with lucid.no_grad():
        assert not (x * 2).requires_grad
        with lucid.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
