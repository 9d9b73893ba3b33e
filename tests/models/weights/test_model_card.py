"""Model cards: front matter that a YAML parser reads, and text that markdown does not misread."""

import ast
import re

import pytest

from lucid.models import ImageTransform
from lucid.models.weights.model_card import ModelCard, is_untouched

NAMES = ["cat", "Weißer Hai", "a: b", "```", "# one", "<script>alert(1)</script>", "two\nlines", "\x00\x85\u2028 end"]


def card(**more):
    options = {"class_names": NAMES, "transform": ImageTransform(224, 256), "license": "mit", **more}
    return str(ModelCard("Pets", "me/pets", True, "timm", "convnext_tiny", 27_826_282, len(NAMES), **options))


def front_matter(text):
    yaml = pytest.importorskip("yaml", reason="reads the front matter with PyYAML")
    return yaml.safe_load(text.split("---\n")[1])


def test_the_front_matter():
    found = front_matter(card(metrics={"accuracy": 0.9}, base_model="timm/convnext_tiny.fb_in1k", tags=["pets"]))
    assert found == {
        "license": "mit", "library_name": "timm", "pipeline_tag": "image-classification",
        "base_model": "timm/convnext_tiny.fb_in1k",
        "tags": ["image-classification", "timm", "lucid", "convnext", "pets"], "metrics": ["accuracy"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["a: b", "yes", "1.0", "'", '"', "\\", "{x}", "# no", "é😀", "two\nlines", "-", "~", ""]
)
def test_any_text_is_quoted(text):
    found = front_matter(card(license=text or None, tags=[text]))
    expected = " ".join(text.split())
    assert found["tags"][-1] == expected and found.get("license", "") == expected


def test_the_code_is_python_and_names_the_place():
    for options in ({}, {"place": 'it\'s "here"', "is_repository": False, "dialect": "huggingface"}):
        one = ModelCard(**{
            "title": "x", "place": "me/pets", "is_repository": True, "dialect": "timm", "architecture": "convnext_tiny",
            "parameters": 1, "outputs": 2, **options,
        })  # fmt: skip
        blocks = re.findall(r"```python\n(.*?)```", str(one), re.DOTALL)
        assert len(blocks) == 2
        for block in blocks:
            strings = [node.value for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Constant)]
            assert any(str(one.place) in str(value) for value in strings)


def test_classes_stay_in_their_block():
    text = card()
    [block] = re.findall(r"^````text\n(.*?)^````$", text, re.DOTALL | re.MULTILINE)
    assert block.splitlines() == [
        "0: cat", "1: Weißer Hai", "2: a: b", "3: ```", "4: # one", "5: <script>alert(1)</script>", "6: two lines",
        "7: end",
    ]  # fmt: skip
    many = card(class_names=[str(number) for number in range(1000)])
    assert "\n99: 99\n... and 900 more, see config.json\n" in many


def test_cells_of_tables_are_escaped():
    text = card(recipe={"a|b": "<b>*x*</b>", "path": "~/my/photos", "list": [1, 2]})
    assert r"| a\|b | \<b\>\*x\*\</b\> |" in text and "| path | photos |" in text and "| list | 1, 2 |" in text


def test_an_edit_is_noticed():
    text = card()
    assert is_untouched(text)
    assert not is_untouched(text.replace("Pets", "Our pets")) and not is_untouched("# Mine\n") and not is_untouched("")
    assert not is_untouched(text + "More.\n")


def test_without_facts_nothing_is_claimed():
    text = str(ModelCard("x", "x", False, "timm", "convnext_tiny", 10, 0))
    assert "Accuracy" not in text and "Training" not in text and "Classes" not in text and "Images" not in text
    assert "No license is stated." in text and "\nlicense:" not in text
    assert front_matter(text)["pipeline_tag"] == "image-feature-extraction"
