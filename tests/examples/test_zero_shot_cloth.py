"""The tower learns words and classifies by texts made of them; the folder is one that lucid classify takes."""

import importlib
import json
import re

import numpy as np
import pytest

from lucid.evaluation import TextEmbeddings

pytest.importorskip("PIL", reason="pictures are drawn with Pillow")

from lucid.cli import classify


@pytest.fixture(scope="module")
def example():
    return importlib.import_module("zero_shot_cloth")


def test_the_embedding_of_a_text_is_the_sum_of_its_words(example):
    text = example.embeddings(["red", "dots", "red dots"])
    np.testing.assert_array_equal(text.values[0] + text.values[1], text.values[2])
    assert len(example.TEXTS) == 12 and example.embeddings(example.TEXTS).width == 7


@pytest.mark.parametrize("pattern", ["stripes", "dots", "checks"])
def test_cloth_has_the_color_and_light_ground(example, pattern):
    pixels = np.asarray(example.draw(np.random.default_rng(0), f"blue {pattern}")).reshape(-1, 3).astype(int)
    blue, light = (np.abs(pixels - color).max(axis=1) <= 45 for color in ((50, 95, 190), (230, 230, 230)))
    assert 0.3 < blue.mean() < 0.6 and (blue | light).mean() > 0.8


def test_pictures_are_classified_by_texts(example, tmp_path, capsys):
    example.main(["--out", str(tmp_path), "--steps", "60", "--images", "300"])
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"step 50: loss \d\.\d{3}", lines[0]) and len(lines) == 2
    share = float(re.fullmatch(r"([\d.]+)% of 400 new pictures are matched to the right one of 12 texts", lines[1])[1])
    assert share > 25  # guessing: 8 %

    for name, texts in (("texts", example.TEXTS), ("patterns", example.PATTERNS)):
        file = tmp_path / f"{name}.safetensors"
        assert TextEmbeddings.load(file).classes == list(texts)
        words = [str(tmp_path / "photos"), "--model", str(tmp_path / "tower.safetensors"), "--json", "--top", "12"]
        assert classify.main([*words, "--text-embeddings", str(file)]) == 0
        rows = [json.loads(line)["predictions"] for line in capsys.readouterr().out.splitlines()]
        assert len(rows) == 8 and all({one["class"] for one in row} == set(texts) for row in rows)
