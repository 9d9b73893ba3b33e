"""``lucid classify`` on a folder of 60 mixed files: each is in the CSV or named with a reason, in a stable order."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import models
from lucid.models.preprocessing import ImageTransform

pytest.importorskip("PIL", reason="images are read with Pillow")

from lucid import data
from lucid.cli import classifier, classify, photos
from tests.cli import mixed_photos

ROOT = Path(__file__).parents[2]
NAMES = ["cat/dog", "Ant", "ant"]
PREPARED = ImageTransform(32, 40, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), interpolation="bilinear")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    lucid.manual_seed(5)
    model = models.ConvNeXt(3, (1, 1, 1, 1), (4, 8, 12, 16))
    model.head.weight._rebind(model.head.weight._array * 2000)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    described = {"classes": json.dumps(NAMES), "preprocessing": json.dumps(asdict(PREPARED)), "model": "mine"}
    models.save_checkpoint(model, path, metadata=described)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("mixed") / "photos"
    root.mkdir()
    try:
        skipped = mixed_photos.write_mixed(root)
    except OSError as error:
        pytest.skip(f"this file system takes fewer names: {error}")
    return root, skipped


def run(capsys, *arguments):
    code = classify.main([str(one) for one in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def reasons(err):
    """{path: reason} of what standard error names."""
    return dict(re.findall(r"^(.+?): (.+); skipped$", err, re.MULTILINE))


def test_every_file_is_in_the_csv_or_named_with_a_reason(capsys, tmp_path, folder, weights):
    root, skipped = folder
    table = tmp_path / "classes.csv"
    code, out, err = run(capsys, root, "--model", weights, "--csv", table, "--batch-size", 7)
    assert (code, out) == (0, "")
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"), newline="")))
    named = {os.path.relpath(path, root): reason for path, reason in reasons(err).items()}
    assert named.keys() == skipped.keys()
    assert named[".thumbnails"] == "hidden, 2 files" and named["trip/up"] == "a link to a folder that is read already"
    assert named["broken/empty.jpg"] == "the file is empty" and named["pipe.jpg"] == "not a file"
    assert "exceed the limit of Pillow" in named["broken/bomb.png"] and "truncated" in named["broken/half.jpg"]
    everything = {os.path.relpath(os.path.join(here, name), root) for here, _, names in os.walk(root) for name in names}
    everything |= {"trip/up"}  # os.walk takes links to folders for folders
    hidden = {name for name in everything if name.startswith(".thumbnails")}
    found = [os.path.relpath(row["path"], root) for row in rows]
    assert len(found) == len(set(found)) and set(found) == everything - skipped.keys() - hidden
    assert found == sorted(found, key=lambda name: Path(name).parts)
    total = len(rows) + sum(skipped.values())
    assert total == len(everything) == mixed_photos.COUNT
    assert err.splitlines()[-1] == f"{total} files: {len(rows)} classified, {total - len(rows)} skipped"
    assert list(rows[0]) == ["path", "class", "probability", "class_2", "probability_2", "class_3", "probability_3"]
    for row in rows:
        values = [float(row[name]) for name in ("probability", "probability_2", "probability_3")]
        assert values == sorted(values, reverse=True) and abs(sum(values) - 1) < 1e-5
        assert sorted(row[name] for name in ("class", "class_2", "class_3")) == sorted(NAMES)


def test_values_are_those_of_the_model_whatever_the_batch(capsys, folder, weights):
    root, _ = folder
    lines = [
        [
            json.loads(one)
            for one in run(capsys, root, "--model", weights, "--json", "--batch-size", size)[1].splitlines()
        ]
        for size in (1, 64)
    ]
    assert [one["path"] for one in lines[0]] == [one["path"] for one in lines[1]]
    model = models.from_checkpoint(weights)
    for one, other in zip(*lines, strict=True):
        logits = model(model.preprocessing([data.open_image(one["path"], short_side=320)]))
        row = logits.softmax(dim=1).detach().numpy()[0]
        for each in (one, other):
            found = np.zeros(3)
            for prediction in each["predictions"]:
                assert prediction["class"] == NAMES[prediction["number"]]
                found[prediction["number"]] = prediction["probability"]
            np.testing.assert_allclose(found, row, atol=1e-4)


def test_copies_are_sorted_and_nothing_is_overwritten(capsys, tmp_path, folder, weights):
    root, _ = folder
    sorted_to, before = tmp_path / "sorted", snapshot(root)
    run(capsys, root, "--model", weights, "--json", "--copy-to", sorted_to)
    lines = run(capsys, root, "--model", weights, "--json", "--move-to", sorted_to)[1].splitlines()
    assert snapshot(root) == before
    chosen = [json.loads(line) for line in lines]
    folders = ["cat_dog", "Ant 1", "ant 2"]  # some file systems do not tell Ant from ant
    copies = [path for path in sorted_to.rglob("*") if path.is_file()]
    assert len(copies) == 2 * len(chosen)
    for number, name in enumerate(folders):
        wanted = [Path(one["path"]) for one in chosen if one["predictions"][0]["number"] == number]
        found = sorted(path.read_bytes() for path in (sorted_to / name).glob("*"))
        assert found == sorted(2 * [path.read_bytes() for path in wanted])
        stems = {path.name[:100] for path in wanted}
        assert all(re.sub(r"-\d+(?=\.\w+$)", "", path.name)[:100] in stems for path in (sorted_to / name).glob("*"))


def snapshot(root):
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in root.rglob("*") if path != root}


def test_outputs_inside_the_folder_are_left_out_the_next_time(capsys, tmp_path, weights):
    root = tmp_path / "photos"
    root.mkdir()
    mixed_photos.noise().save(root / "a.png")
    arguments = [root, "--model", weights, "--json", "--copy-to", root / "sorted", "--explain", root / "heat"]
    first, second = run(capsys, *arguments), run(capsys, *arguments)
    assert first[1] == second[1] and first[2].splitlines()[-1] == "1 file: 1 classified"
    assert second[2].splitlines()[-1] == "3 files: 1 classified, 2 skipped"
    assert reasons(second[2]) == {str(root / name): "an output folder, 1 file" for name in ("heat", "sorted")}
    assert len(list((root / "sorted").rglob("*.png"))) == 2


def test_a_heat_map_of_each_image(capsys, tmp_path, folder, weights):
    root, _ = folder
    heat, sheet = tmp_path / "heat", tmp_path / "sheet.png"
    code, out, _ = run(capsys, root, "--model", weights, "--json", "--explain", heat, "--sheet", sheet)
    pictures = sorted(heat.iterdir())
    assert code == 0 and len(pictures) == len(out.splitlines())
    assert {data.open_image(path).size for path in pictures} == {(32, 32)}
    assert {oct(path.stat().st_mode & 0o777) for path in pictures} == {oct(0o666 & ~umask())}
    assert data.open_image(sheet).width > 1000


def umask():
    value = os.umask(0)
    os.umask(value)
    return value


def test_a_full_disk_leaves_no_half_copy(capsys, tmp_path, folder, weights, monkeypatch):
    root, _ = folder
    copies = []

    def copy(source, target):
        copies.append(target)
        Path(target).write_bytes(b"half")
        if len(copies) == 3:
            raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr("lucid.cli.sorted_copies.shutil.copy2", copy)
    with pytest.raises(SystemExit) as caught:
        classify.main([str(root), "--model", str(weights), "--json", "--copy-to", str(tmp_path / "sorted")])
    assert caught.value.code == 2 and "error: No space left on device" in capsys.readouterr().err.splitlines()[-1]
    assert len([path for path in (tmp_path / "sorted").rglob("*") if path.is_file()]) == 2


def test_decoding_overlaps_with_the_model(capsys, folder, weights, monkeypatch):
    """While the model computes a batch, threads prepare images of the next one."""
    root, _ = folder
    overlapped = threading.Event()
    computing = threading.Event()
    prepare, compute = photos.prepare, classifier.predictions

    def preparing(*arguments):
        if computing.is_set():
            overlapped.set()
        return prepare(*arguments)

    def computing_(*arguments):
        computing.set()
        assert overlapped.wait(60)
        return compute(*arguments)

    monkeypatch.setattr(photos, "prepare", preparing)
    monkeypatch.setattr(classifier, "predictions", computing_)
    assert run(capsys, root, "--model", weights, "--json", "--batch-size", 4)[0] == 0


def test_ctrl_c_leaves_whole_lines(capsys, tmp_path, folder, weights, monkeypatch):
    """Each Ctrl-C arrives in the middle of a write, as it may on a slow disk."""
    root, _ = folder
    whole = run(capsys, root, "--model", weights, "--csv", "-", "--batch-size", 4)[1]
    table, write, count = tmp_path / "a.csv", os.write, []

    def slow(descriptor, content):
        if b"/photos/" in content:
            count.append(1)
            if len(count) == 9:
                write(descriptor, content[:5])
                os.kill(os.getpid(), signal.SIGINT)
                return 5
        return write(descriptor, content)

    monkeypatch.setattr("lucid.cli.results.os.write", slow)
    code, _, err = run(capsys, root, "--model", weights, "--csv", table, "--batch-size", 4)
    assert code == 130 and err.endswith("lucid classify: interrupted\n")
    assert re.search(r"^60 files: 9 classified, \d+ skipped, \d+ not reached$", err, re.MULTILINE)
    text = table.read_text(encoding="utf-8")
    assert whole.startswith(text) and len(list(csv.reader(io.StringIO(text, newline="")))) == 10


def test_results_appear_as_they_come(folder, weights):
    """The first lines can be read from a pipe before the last images are read; closing it ends the command quietly."""
    root, _ = folder
    command = [sys.executable, "-m", "lucid", "classify", root, "--model", weights, "--jsonl", "-", "--batch-size", "2"]
    with subprocess.Popen(
        [str(one) for one in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        err = process.stderr.read()
        process.wait(60)
    assert first["predictions"] and "Traceback" not in err and process.returncode in (0, 1)


def test_links_into_the_folder_come_last(tmp_path):
    (tmp_path / "b").mkdir()
    mixed_photos.noise().save(tmp_path / "b" / "1.png")
    (tmp_path / "a").symlink_to("b")
    found = photos.find_photos([str(tmp_path)])
    assert found == [
        photos.Skipped(tmp_path / "a", "a link to a folder that is read already"),
        tmp_path / "b" / "1.png",
    ]
    with contextlib.suppress(OSError):
        (tmp_path / "c").mkdir(mode=0)
        named = photos.find_photos([str(tmp_path)])
        assert os.access(tmp_path / "c", os.R_OK) or photos.Skipped(tmp_path / "c", "Permission denied") in named
