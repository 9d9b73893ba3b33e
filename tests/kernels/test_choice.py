"""What forces the reference implementation."""

import pytest

from lucid.kernels.choice import reference_is_forced, use_reference


def test_nothing_is_forced_by_default(monkeypatch):
    monkeypatch.delenv("LUCID_KERNELS", raising=False)
    assert not reference_is_forced()


@pytest.mark.parametrize(("value", "forced"), [("reference", True), ("auto", False), ("", False)])
def test_the_environment_forces_it(monkeypatch, value, forced):
    monkeypatch.setenv("LUCID_KERNELS", value)
    assert reference_is_forced() is forced


def test_an_unknown_value_is_refused(monkeypatch):
    monkeypatch.setenv("LUCID_KERNELS", "off")
    with pytest.raises(ValueError, match="LUCID_KERNELS must be 'auto' or 'reference', got 'off'"):
        reference_is_forced()


def test_the_block_ends_after_an_error_too(monkeypatch):
    monkeypatch.delenv("LUCID_KERNELS", raising=False)

    def fail_inside():
        with use_reference():
            assert reference_is_forced()
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert not reference_is_forced()
