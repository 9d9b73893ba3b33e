"""What all tests of the commands need."""

import warnings

import pytest


@pytest.fixture(autouse=True)
def warnings_are_restored():
    """``main`` adds warning filters."""
    with warnings.catch_warnings():
        yield
