"""The Chebyshev series have converged: their last coefficients are at the accuracy of float64."""

import pytest

from lucid.kernels import bessel_tables

TABLES = {name: one for name, one in vars(bessel_tables).items() if isinstance(one, tuple)}


def test_all_tables_are_there():
    assert len(TABLES) == 16


@pytest.mark.parametrize("name", TABLES)
def test_series_have_converged(name):
    table = TABLES[name]
    assert max(map(abs, table[-2:])) < 5e-15 * max(1, *map(abs, table))
