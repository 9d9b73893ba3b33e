"""What forces the plain path."""

import pytest

from lucid.kernels.choice import reference_is_forced, use_reference


def test_nothing_is_forced_by_default(monkeypatch):
    monkeypatch.delenv("LUCID_KERNELS", raising=False)
    assert not reference_is_forced()


@pytest.mark.parametrize(("word", "forced"), [("reference", True), ("auto", False), ("", False)])
def test_the_environment_forces_it(monkeypatch, word, forced):
    monkeypatch.setenv("LUCID_KERNELS", word)
    assert reference_is_forced() is forced


def test_an_unknown_word_is_refused(monkeypatch):
    monkeypatch.setenv("LUCID_KERNELS", "off")
    with pytest.raises(ValueError, match="LUCID_KERNELS must be 'auto' or 'reference', got 'off'"):
        reference_is_forced()


def test_the_block_ends_also_after_an_error(monkeypatch):
    monkeypatch.delenv("LUCID_KERNELS", raising=False)

    def fail_inside():
        with use_reference():
            assert reference_is_forced()
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert not reference_is_forced()
