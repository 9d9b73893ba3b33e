"""The troubleshooting guide quotes errors that the code raises, the navigation is complete, and notebooks run."""

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import data, nn

ROOT = Path(__file__).parents[1]
TROUBLESHOOTING = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
ERRORS = re.findall(
    r"^```\{ \.python \.raises \}\n(.*?)^```\n\n    (.*?)\n\n", TROUBLESHOOTING, re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize(("code", "message"), ERRORS, ids=[message.split(":")[0] for _, message in ERRORS])
def test_the_code_raises_the_message(code, message, tmp_path):
    script = tmp_path / "script.py"  # errors of compiled functions quote the line
    script.write_text(code, encoding="utf-8")
    names = {"lucid": lucid, "F": F, "data": data, "nn": nn}
    with pytest.raises(Exception, match=re.escape(message)):
        exec(compile(code, script, "exec"), names)  # noqa: S102


def test_every_error_is_tested():
    assert len(ERRORS) == TROUBLESHOOTING.count(".raises }") > 10


@pytest.fixture(scope="module")
def tools():
    """The modules that write the reference."""
    sys.path.insert(0, str(ROOT / "docs/tools"))
    yield importlib.import_module("prepare"), importlib.import_module("architecture")
    sys.path.remove(str(ROOT / "docs/tools"))


def test_every_public_name_has_a_page(tools):
    prepare, _ = tools
    entries = prepare.collect()
    found = {one.path for rows in entries.values() for one in rows}
    assert {"lucid.Tensor", "lucid.tensor", "lucid.softmax", "lucid.nn.functional.softmax", "lucid.nn.Conv2d"} <= found
    for name in ("lucid.nn", "lucid.models", "lucid.data", "lucid.data.augment", "lucid.training", "lucid.distributed"):
        module = importlib.import_module(name)
        assert {f"{name}.{one}" for one in module.__all__ if callable(getattr(module, one))} <= found
    pages = {one.page for rows in entries.values() for one in rows}
    assert len({page.lower() for page in pages}) == len(pages)  # on macOS, files differ by more than case


def test_class_pages_list_inherited_methods(tools):
    prepare, _ = tools
    known = {one.thing: one for rows in prepare.collect().values() for one in rows if isinstance(one.thing, type)}
    page = prepare.class_page(known[lucid.models.ConvNeXt], known, {})
    assert "::: lucid.models.ConvNeXt.set_grad_checkpointing" in page  # of a private base class
    assert "[`state_dict`][lucid.nn.Module.state_dict]" in page


def test_the_page_of_a_model_describes_its_architecture(tools):
    _, architecture = tools
    text = architecture.section(lucid.models.ConvNeXt)
    assert "| stage 3 | 9 blocks of width 384 | 384 x 14 x 14 | 10,817,280 | 2.11 G |" in text
    assert "**28,589,128** | **4.46 G**" in text
    assert text.count("<svg") == 2
    assert architecture.section(lucid.models.Tag) == ""


def test_the_picture_of_views_says_what_they_are(tools):
    pytest.importorskip("PIL", reason="images are drawn with Pillow")
    pytest.importorskip("matplotlib", reason="its font is used")
    draw_views = importlib.import_module("draw_views")
    crops = ["top left", "top right", "bottom left", "bottom right", "center"]
    shifts = [("", "1/4"), ("↘ 1 px", "1/8"), ("↖ 1 px", "1/8")]
    expected = {
        "flip": [("", mirrored, "1/2") for mirrored in (False, True)],
        "shift": [(place, mirrored, weight) for place, weight in shifts for mirrored in (False, True)],
        "five_crop": [(place, False, "1/5") for place in crops],
        "ten_crop": [(place, mirrored, "1/10") for place in crops for mirrored in (False, True)],
    }
    for name, rows in expected.items():
        image, views = draw_views.views_of(name)
        assert [(*draw_views.describe(image, view), str(weight)) for weight, view in views] == rows
    picture = draw_views.draw()
    assert len(picture.getcolors()) > 50 and min(picture.size) > 900


@pytest.fixture(scope="module")
def draw_sea(tools):
    pytest.importorskip("PIL", reason="pictures are drawn with Pillow")
    return importlib.import_module("draw_sea")


def test_things_at_sea_are_drawn_where_they_should_be(draw_sea):
    empty = np.asarray(draw_sea.sea(200)).astype(int)
    for name in draw_sea.THINGS:
        pictures = [draw_sea.sea(200) for _ in range(2)]
        for is_mirrored, picture in enumerate(pictures):
            draw_sea.put(picture, name, x=50, y=60, size=0.5, is_mirrored=bool(is_mirrored))
        changed, mirrored = (np.abs(np.asarray(one) - empty).sum(axis=2) > 0 for one in pictures)
        assert not changed[:60].any() and not changed[140:].any() and not changed[:, :60].any()
        assert 0.02 < changed.mean() < 0.1 and np.mean(changed != mirrored[:, ::-1]) < 0.01


def test_the_drawn_photos_are_fine_tuned_on_and_classified(draw_sea, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="the run draws its curves")
    from lucid.cli import main

    monkeypatch.chdir(tmp_path)
    draw_sea.main([".", "--count", "5"])
    commands = [
        re.search(
            rf"^    lucid ({name} .*small.*|{name} new .*)$", (ROOT / f"docs/{page}.md").read_text(), re.MULTILINE
        )
        for name, page in (("finetune", "finetuning"), ("classify", "classify"))
    ]
    finetune, classify = (found[1].split() for found in commands)
    assert main([*finetune, "--epochs", "1", "--batch-size", "4"]) == 0
    assert main([*classify, "--jsonl", "-"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert len(rows) == len(list(Path("heat").iterdir())) == 8
    assert {one["class"] for row in rows for one in row["predictions"]} == set(draw_sea.THINGS)


def test_labels_of_the_drawn_photos_are_learned(draw_sea, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="the run draws its curves")
    from lucid.cli import main

    monkeypatch.chdir(tmp_path)
    draw_sea.main([".", "--count", "5"])
    guide = (ROOT / "docs/finetuning.md").read_text(encoding="utf-8")
    found = re.search(r"^    lucid (finetune photos --labels labels.csv .*small.*)$", guide, re.MULTILINE)
    assert main([*found[1].split(), "--epochs", "1", "--batch-size", "4"]) == 0
    assert main(["classify", "new", "--model", "runs/labels", "--jsonl", "-"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert len(rows) == 8 and all(set(row["probabilities"]) == set(draw_sea.THINGS) for row in rows)


def test_every_guide_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    guides = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert set(re.findall(r"[\w-]+\.md", navigation)) == guides
