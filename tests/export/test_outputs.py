"""What the checks of exported files compare."""

import math

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.export import ExportError
from lucid.export._outputs import largest_difference, outputs_of

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("expected", "found", "wanted"),
    [
        ([1.0, -4.0], [1.5, -4.0], 0.125),
        ([1.0, -4.0], [1.0, -4.0], 0.0),
        ([0.0], [1e-9], 1e-3),  # relative to 1e-6 at least
        ([], [], 0.0),
        ([[1.0]], [1.0], INF),
        ([1.0, 2.0], [1.0], INF),
        ([NAN, 2.0], [NAN, 2.0], 0.0),
        ([NAN, 2.0], [2.0, 2.0], INF),
        ([2.0, 2.0], [NAN, 2.0], INF),
        ([INF, -INF, 2.0], [INF, -INF, 3.0], 0.5),
        ([INF, 1.0], [-INF, 1.0], INF),
        ([INF, 1.0], [1.0, 1.0], INF),
        ([1.0], [INF], INF),
    ],
)
def test_differences(expected, found, wanted):
    values = (np.array(one, np.float32) for one in (expected, found))
    assert largest_difference(*values) == pytest.approx(wanted)


def test_outputs_have_the_order_of_the_file():
    a, b, c = (lucid.full((1,), float(i)) for i in range(3))
    found = outputs_of({"x": (a, [b]), "y": c})
    assert all(isinstance(one, mx.array) for one in found) and [one.item() for one in found] == [0.0, 1.0, 2.0]
    assert [one.item() for one in outputs_of(b)] == [1.0]
    with pytest.raises(ExportError, match="forward returned a int"):
        outputs_of((a, 3))
