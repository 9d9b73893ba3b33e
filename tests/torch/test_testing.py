"""torch.testing.assert_close accepts and refuses what PyTorch's does."""

import numpy as np
import pytest

import lucid
from lucid.torch.testing import assert_close


@pytest.mark.parametrize(
    ("actual", "expected", "options"),
    [
        (lucid.tensor([1.0, 2.0]), lucid.tensor([1.0, 2.000002]), {}),
        (lucid.tensor([1.0]).half(), lucid.tensor([1.0009]).half(), {}),
        (1.0, 1.0, {}),
        ([1, lucid.ones(2)], [1, lucid.ones(2)], {}),
        ({"a": lucid.ones(1)}, {"a": lucid.ones(1)}, {}),
        (lucid.tensor([np.nan]), lucid.tensor([np.nan]), {"equal_nan": True}),
        (lucid.tensor([np.inf]), lucid.tensor([np.inf]), {}),
        (lucid.ones(1), lucid.ones(1).half(), {"check_dtype": False}),
        (lucid.tensor([1.0]), lucid.tensor([1.4]), {"rtol": 0.5, "atol": 0.0}),
        (lucid.tensor([True, False]), lucid.tensor([True, False]), {}),
        (lucid.tensor([1 + 2j]), lucid.tensor([1 + 2j]), {}),
        (lucid.zeros(0), lucid.zeros(0), {}),
    ],
)
def test_accepts(actual, expected, options):
    assert_close(actual, expected, **options)


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        (lucid.tensor([1.0, 3.0]), lucid.tensor([1.0, 2.0]), r"1 of 2 values are not close.*1 at index \(1,\)"),
        (lucid.ones(2), lucid.ones(3), r"shapes differ: expected \(3,\), got \(2,\)"),
        (lucid.ones(2), lucid.ones(2).half(), "dtypes differ: expected float16, got float32"),
        (lucid.tensor([np.nan]), lucid.tensor([np.nan]), "inf at index"),
        ([lucid.ones(1)], [lucid.zeros(1)], r"values at \[0\]"),
        ({"a": 1}, {"b": 1}, "keys differ"),
        ([1], [1, 2], "lengths differ: expected 2, got 1"),
        (lucid.tensor([1]), lucid.tensor([2]), "not close"),
        (None, lucid.ones(1), "got None"),
    ],
)
def test_refuses(actual, expected, message):
    with pytest.raises(AssertionError, match=message):
        assert_close(actual, expected)


def test_messages_and_wrong_calls():
    with pytest.raises(AssertionError, match="^mine$"):
        assert_close(1.0, 2.0, msg="mine")
    with pytest.raises(AssertionError, match="^so: 1 of 1"):
        assert_close(1.0, 2.0, msg=lambda found: f"so: {found}")
    with pytest.raises(ValueError, match="given together"):
        assert_close(1.0, 1.0, rtol=1e-3)
