import pytest

from lucid.optim.options import betas, flag, fraction, reject_differentiable


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 0.9999])
def test_a_fraction_is_at_least_0_and_below_1(value):
    assert fraction("F", "x", value) == value and isinstance(fraction("F", "x", value), float)
    assert betas("F", [value, 0.5]) == (value, 0.5)


@pytest.mark.parametrize("value", [1, 1.5, -0.1, float("nan")])
def test_other_numbers_are_not_fractions(value):
    with pytest.raises(ValueError, match="F: x must be at least 0"):
        fraction("F", "x", value)


@pytest.mark.parametrize("value", [0.9, (0.9,), (0.9, 0.9, 0.9), "ab"])
def test_betas_are_two(value):
    with pytest.raises(ValueError, match="F: betas must be two numbers"):
        betas("F", value)


@pytest.mark.parametrize("value", [1, 0, None, "True"])
def test_flags_are_true_or_false(value):
    assert flag("F", "x", True) is True and flag("F", "x", False) is False
    with pytest.raises(TypeError, match=f"F: x must be True or False, got {value!r}"):
        flag("F", "x", value)


def test_differentiable_is_refused_when_true():
    reject_differentiable("F", None)
    reject_differentiable("F", False)
    with pytest.raises(ValueError, match="F: differentiable=True is not supported"):
        reject_differentiable("F", True)
