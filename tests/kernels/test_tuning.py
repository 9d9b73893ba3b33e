"""What was tuned is found again, changes nothing but the cut, and a file that cannot be believed counts as empty."""

import json

import mlx.core as mx
import pytest

from lucid.kernels import tuning
from lucid.kernels.split import Split, forward_split

SHAPE = (32, 96, 56, 56)
KERNEL = (7, 7)
FASTEST = Split(2, 4, 64)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LUCID_CACHE", str(tmp_path))
    monkeypatch.delenv("LUCID_TUNING", raising=False)
    tuning.forget()
    yield tmp_path
    tuning.forget()


def found(shape=SHAPE, dtype=mx.float32, kernel=KERNEL):
    return tuning.forward_split("metal", dtype, kernel, shape)


def tuned():
    return tuning.tune("metal", mx.float32, KERNEL, SHAPE, lambda one: 0.5 if one == FASTEST else 1.0)


def test_without_a_file_the_shape_decides():
    assert found() == forward_split(*SHAPE)


def test_the_fastest_is_kept_and_found_by_the_next_process():
    assert tuned() == (FASTEST, 0.5)
    assert found() == FASTEST
    assert tuning.save() == tuning.path()
    tuning.forget()
    assert found() == FASTEST
    assert [one.name for one in tuning.path().parent.iterdir()] == ["tuning.json"]


def test_it_counts_for_its_class_of_shapes_alone():
    tuned()
    assert found((17, 96, 56, 56)) == FASTEST  # batches of 17 to 32 are one class
    for other in ((16, 96, 56, 56), (32, 97, 56, 56), (32, 96, 55, 56)):
        assert found(other) == forward_split(*other)
    assert found(dtype=mx.float16) == found(kernel=(5, 5)) == forward_split(*SHAPE)
    assert tuning.forward_split("cuda", mx.float32, KERNEL, SHAPE) == forward_split(*SHAPE)


def test_among_equals_the_plain_choice_wins():
    assert tuning.tune("metal", mx.float32, KERNEL, SHAPE, lambda one: 1.0)[0] == forward_split(*SHAPE)


@pytest.mark.parametrize("shape", [SHAPE, (1, 768, 7, 7), (1, 1, 1, 1), (3, 5, 2, 90)])
def test_every_candidate_is_distinct_and_possible(shape):
    listed = list(tuning.candidates(shape))
    assert listed[0] == forward_split(*shape)
    assert len(set(listed)) == len(listed)
    assert all(1 <= one.chunks <= shape[2] for one in listed)


def test_it_can_be_turned_off(monkeypatch):
    tuned()
    monkeypatch.setenv("LUCID_TUNING", "off")
    assert found() == forward_split(*SHAPE)
    monkeypatch.setenv("LUCID_TUNING", "never")
    with pytest.raises(ValueError, match="LUCID_TUNING must be 'on' or 'off', got 'never'"):
        found()


def rewrite(change):
    tuned()
    path = tuning.save()
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))
    tuning.forget()


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored.update(gpu="Another GPU"),
        lambda stored: stored.update(mlx="0.0"),
        lambda stored: stored.update(lucid="0.0"),
        lambda stored: stored.update(format=99),
        lambda stored: stored.pop("gpu"),
        lambda stored: stored.pop("cuts"),
        lambda stored: stored.update(cuts=[1, 2]),
        lambda stored: stored["cuts"].update(x=[3, 1, 128]),
        lambda stored: stored["cuts"].update(x=[4, 0, 128]),
        lambda stored: stored["cuts"].update(x=[4, 1.5, 128]),
        lambda stored: stored["cuts"].update(x=[4, 1, 4096]),
        lambda stored: stored["cuts"].update(x=[4, 1]),
        lambda stored: stored["cuts"].update(x=None),
    ],
)
def test_a_foreign_or_senseless_file_counts_as_empty(change):
    rewrite(change)
    assert found() == forward_split(*SHAPE)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_damaged_file_counts_as_empty(content):
    tuning.path().write_bytes(content)
    assert found() == forward_split(*SHAPE)


def test_more_chunks_than_rows_are_not_used():
    rewrite(lambda stored: stored["cuts"].update({tuning.key("metal", mx.float32, KERNEL, SHAPE): [4, 57, 128]}))
    assert found() == forward_split(*SHAPE)


@pytest.mark.parametrize(
    ("platform", "variables", "wanted"),
    [
        ("darwin", {}, "home/Library/Caches/lucid/tuning.json"),
        ("linux", {}, "home/.cache/lucid/tuning.json"),
        ("linux", {"XDG_CACHE_HOME": "xdg"}, "xdg/lucid/tuning.json"),
        ("linux", {"LUCID_CACHE": "own"}, "own/tuning.json"),
    ],
)
def test_where_the_file_is(platform, variables, wanted, tmp_path, monkeypatch):
    monkeypatch.delenv("LUCID_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, folder in variables.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    assert tuning.path() == tmp_path / wanted
