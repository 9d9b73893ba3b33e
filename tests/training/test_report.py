"""The report: its content, that it is self-contained, and how a browser shows it."""

import base64
import io
import json
import math
import re
import shutil
import subprocess

import numpy as np
import pytest

from lucid.training import charts, report
from tests.html_page import Page

image = pytest.importorskip("matplotlib.image", reason="images are read with matplotlib")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CLASSES = ["cat", "<b>dog</b> & co", "a class with a long name"]
CONFUSION = [[5, 1, 0], [0, 7, 0], [2, 3, 10]]


def example(epochs=3):
    rng = np.random.default_rng(0)
    history = [
        {
            "epoch": epoch,
            "lr": 1e-3 / epoch,
            "train_loss": 2 / epoch,
            "train_accuracy": 1 - 0.5 / epoch,
            "test_loss": math.nan if epoch == 2 else 3 / epoch,
            "test_accuracy": [0.5, 0.75, 0.625][(epoch - 1) % 3],
            "images_per_second": 100.0 * epoch,
            "waiting": 0.02,
            "seconds": 50.0,
        }
        for epoch in range(1, epochs + 1)
    ]
    mistakes = [
        report.Mistake(rng.integers(0, 256, (8, 6, 3), np.uint8), "cat", CLASSES[1], 0.9, 0.05, "photos/<1>.jpg"),
        report.Mistake(
            rng.integers(0, 256, (70, 90), np.uint8),
            CLASSES[1],
            "cat",
            0.8,
            0.1,
            heat=rng.integers(0, 256, (70, 90, 3), np.uint8),
        ),
    ]
    configuration = {"recipe": "strong", "depths": (2, 2), "compile": True, "augment": None}
    return report.Report(
        "A & B", history, CLASSES, np.array(CONFUSION), mistakes, configuration,
        figures=[("parameters", "110,410", "")], lead="One sentence.", command="python train.py --x '<y>'",
    )  # fmt: skip


@pytest.fixture(scope="module")
def page():
    return Page(report.page(example()))


def test_the_page_is_self_contained(page):
    text = report.page(example())
    assert page.all("script") == [] and "url(" not in text and "@import" not in text and "://" not in text
    assert [one["href"] for one in page.all("link")] == ["data:,"]
    assert all(one["src"].startswith("data:image/png;base64,") for one in page.all("img"))
    assert {"http-equiv": "Content-Security-Policy", "content": report.POLICY} in page.all("meta")
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]


def test_the_page_describes_the_run(page):
    text = " ".join(page.texts)
    for part in ("A & B", "One sentence.", "python train.py --x '<y>'", "110,410", "22 of 28 test images are right."):
        assert part in text
    # The figures of the history: best and last, time, images per second.
    for part in ("75.00%", "epoch 2 of 3", "62.50%", "2 min 30 s", "50 s an epoch", "2.0% of the time waiting"):
        assert part in text
    # The worst class first, then the pairs that are confused most often.
    assert text.index("66.7% of 15") < text.index("83.3% of 6") < text.index("100.0% of 7")
    rows = re.search(r"images\s+(a class.*?)\s+Worst", text)[1].split()
    assert [word for word in rows if word.isdigit()] == ["3", "2", "1"]
    assert "strong" in text and "2, 2" in text and "yes" in text and "augment" not in text


def test_the_images_are_the_mistakes(page):
    wanted = [each for one in example().mistakes for each in (one.image, one.heat) if each is not None]
    for attributes, pixels in zip(page.all("img"), wanted, strict=True):
        found = image.imread(io.BytesIO(base64.b64decode(attributes["src"].partition(",")[2])))
        np.testing.assert_array_equal(np.round(found * 255).astype(np.uint8), pixels)
    assert [one.get("class") for one in page.all("img")] == ["small", None, None]
    assert [one["alt"] for one in page.all("img")] == ["cat", CLASSES[1], "heat map for cat"]
    text = " ".join(page.texts)
    assert "<b>dog</b> & co, 90%" in text and "is cat, 5%" in text and "photos/<1>.jpg" in text


def test_the_lines_go_through_the_values(page):
    lines = [one for kind in ("line s0", "line s1") for one in page.all("polyline", kind)]
    # Loss, accuracy, learning rate, images per second in training; a gap makes two lines of the test loss.
    assert [len(one["points"].split()) for one in lines] == [3, 3, 3, 3, 1, 1, 3]
    accuracy = [tuple(map(float, point.split(","))) for point in lines[1]["points"].split()]
    assert [x for x, _ in accuracy] == [charts.LEFT, (charts.LEFT + charts.RIGHT) / 2, charts.RIGHT]
    (_, y1), (_, y2), (_, y3) = accuracy  # of 0.5, 0.75, 0.8333
    assert (y1 - y2) / (y2 - y3) == pytest.approx(3, rel=0.02)
    assert all(charts.TOP <= y <= charts.BOTTOM for _, y in accuracy)


def test_the_cells_are_the_counts(page):
    titles = [text for text in page.texts if " predicted as " in text]
    assert titles == [
        f"{truth} predicted as {predicted}: {value} of {sum(row)}"
        for truth, row in zip(CLASSES, CONFUSION, strict=True)
        for predicted, value in zip(CLASSES, row, strict=True)
        if value
    ]
    shades = [float(one["fill-opacity"]) for one in page.all("rect", "wrong")]
    assert shades == [0.28, 0.44, 0.60]  # of 1, 2 and 3


@pytest.mark.parametrize(
    ("values", "bounds", "from_zero", "ticks"),
    [
        ([0.0, 1.0], (0, 1), False, [0, 0.25, 0.5, 0.75, 1]),
        ([1.0, 1.0], (0, 1), False, [0.9, 0.925, 0.95, 0.975, 1]),
        ([0.0], (0, 1), False, [0, 0.2, 0.4]),
        ([1e-6, 4e-3], (-math.inf, math.inf), True, [0, 0.002, 0.004]),
        ([], (-math.inf, math.inf), False, [0, 0.5, 1]),
        ([-3.0, 5.0], (-math.inf, math.inf), True, [-2.5, 0, 2.5, 5]),
    ],
)
def test_an_axis_has_round_numbers(values, bounds, from_zero, ticks):
    low, high, found = charts._axis(values, bounds, from_zero)
    assert low < high and bounds[0] <= low and high <= bounds[1]
    assert all(low <= one <= high for one in values)
    np.testing.assert_allclose(found, ticks, atol=1e-12)


@pytest.mark.parametrize(
    ("xs", "ticks"),
    [
        ([], []),
        ([1], [1]),
        (range(1, 4), [1, 2, 3]),
        (range(1, 21), [1, 5, 10, 15, 20]),
        (range(1, 301), [1, 50, 100, 150, 200, 250, 300]),
        (range(40, 100), [40, 50, 60, 70, 80, 90, 99]),
    ],
)
def test_the_first_and_last_epoch_have_ticks(xs, ticks):
    assert charts._epoch_ticks(list(xs)) == ticks


@pytest.mark.parametrize("count", [1, 2, 25, 60])
def test_any_number_of_classes(count):
    confusion = np.eye(count, dtype=int) * 3
    confusion[0, -1] += 4
    text = report.page(report.Report("T", [], [f"class {i}" for i in range(count)], confusion))
    page = Page(text)
    assert len(page.all("rect", "right")) == count and len(page.all("rect", "wrong")) == (count > 1)
    assert len(page.all("i")) == count and ("details" in page.open or (count > 20) == (len(page.all("details")) == 1))
    assert page.all("polyline") == []


def test_a_class_without_images_and_one_epoch_are_fine():
    one = report.Report("T", example(epochs=1).history, ["a", "b"], np.array([[2, 0], [0, 0]]))
    page = Page(report.page(one))
    assert (
        len(page.all("i")) == 1 and len(page.all("circle", "dot s0")) == 8
    )  # four charts, twice each: shown, pointed at


def test_png_refuses_other_arrays():
    for wrong in (np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3), np.float32)):
        with pytest.raises(ValueError, match=r"png: image must be uint8 of 1 or 3 channels \(H, W, C\), got"):
            report.png(wrong)


@pytest.mark.parametrize("count", [21, 40, 100])
def test_labels_of_a_large_matrix_are_legible(count):
    text = charts.confusion_chart(np.eye(count, dtype=int).tolist(), ["n" * 12] * count)
    side, narrowest = (int(re.search(part, text)[1]) for part in (r'viewBox="0 0 (\d+)', r"min-width:(\d+)px"))
    small = float(re.search(r"font-size:([\d.]+)px", text)[1])
    assert text.count('font-size="12.0"') == 2 and 12 * narrowest / side > 7
    assert count > charts.MAX_NAMED_CLASSES or small * narrowest / side > 7


def test_the_page_says_what_the_numbers_are_of():
    more = {"curves_hint": "Measured on <mixed> images.", "classes_hint": "Of epoch 2.", "train_counts": [50, 60, 1070]}
    page = Page(report.page(report.Report(**{**vars(example()), **more})))
    text = " ".join(" ".join(page.texts).split())
    assert "Measured on <mixed> images." in text and "Of epoch 2. 22 of 28 test images are right." in text
    table = text[text.index("images of each class") :]
    assert table.startswith(
        "images of each class class train test cat 50 6 <b>dog</b> & co 60 7 a class with a long name"
    )
    assert "1,070 15 all 1,180 28" in table
    assert "of each class" not in " ".join(Page(report.page(example())).texts)


def test_training_images_are_shown_as_the_model_sees_them():
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 1), np.uint8)
    sample = report.Sample(pixels, "cat 60%, dog 40%")
    page = Page(report.page(report.Report("T", [], ["cat", "dog"], samples=[sample])))
    [attributes] = page.all("img")
    assert attributes["alt"] == sample.label and "Training images" in page.texts and sample.label in page.texts
    found = image.imread(io.BytesIO(base64.b64decode(attributes["src"].partition(",")[2])))
    np.testing.assert_array_equal(np.round(found * 255).astype(np.uint8).reshape(8, 8, -1)[..., :1], pixels)


def test_axes_have_names_and_classes_their_full_ones(page):
    text = page.texts
    for name in ("epoch", "loss", "accuracy", "learning rate", "images per second in training", "true", "predicted"):
        assert name in text
    assert text.count("epoch") >= 4 and text.count("a class with a long name") >= 3


# In a browser ---------------------------------------------------------------------------------------------------------


def browse(page, width, scheme):
    """The pixels of the page in Chromium, console messages, and the addresses that it requested."""
    folder = page.parent
    quiet = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    quiet += " --disable-component-update --disable-sync --hide-scrollbars --enable-logging=stderr --v=0"
    command = [CHROMIUM, *quiet.split(), f"--blink-settings=preferredColorScheme={['dark', 'light'].index(scheme)}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}"]
    command += [f"--log-net-log={folder / 'log.json'}", f"--screenshot={folder / 'shot.png'}"]
    done = subprocess.run(
        [*command, f"--window-size={width},4000", page.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    requests = [event.get("params", {}) for event in json.loads((folder / "log.json").read_text())["events"]]
    # The browser's own requests, for the time and the like, come from no page: their initiator is "not an origin".
    asked = {one["url"] for one in requests if one.get("initiator", "not an origin") != "not an origin"}
    return np.round(image.imread(folder / "shot.png")[..., :3] * 255).astype(int), complaints, asked


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (500, "dark")])
def test_a_browser_shows_it_without_requests(tmp_path, width, scheme):
    color = np.array([250, 10, 120], np.uint8)  # that nothing else has
    mistake = report.Mistake(np.zeros((80, 80, 3), np.uint8) + color, "a", "b", 0.9, 0.1)
    changed = {"mistakes": [mistake], "title": "a_folder_with_a_long_name_" * 6}
    report.write_report(tmp_path / "report.html", report.Report(**{**vars(example()), **changed}))
    pixels, complaints, asked = browse(tmp_path / "report.html", width, scheme)
    assert complaints == [] and asked == set() and pixels.shape == (4000, width, 3)
    style = report.STYLE.read_text(encoding="utf-8")
    backgrounds = [tuple(bytes.fromhex(found)) for found in re.findall(r"--page: #(\w{6})", style)]
    assert tuple(pixels[0, 0]) == backgrounds[["light", "dark"].index(scheme)]
    assert (pixels[:, -6:] == pixels[0, 0]).all()  # nothing reaches beyond the right edge
    assert (np.abs(pixels - color).max(axis=-1) <= 2).sum() > 60 * 60


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_the_browser_check_finds_requests_and_errors(tmp_path):
    text = report.page(example())
    wrong = '<script>nothing.here()</script><img src="http://127.0.0.1:9/picture.png"><h1>'
    (tmp_path / "report.html").write_text(text.replace(report.POLICY, "").replace("<h1>", wrong))
    _, complaints, asked = browse(tmp_path / "report.html", 500, "light")
    assert "nothing is not defined" in complaints[0] and asked == {"http://127.0.0.1:9/picture.png"}


def test_a_value_of_several_names_is_shown_as_such():
    table = report.facts_table("machine", {"environment": {"OMP_NUM_THREADS": "1", "x<y": 0.5}, "none": ""})
    assert "<td>OMP_NUM_THREADS=1, x&lt;y=0.5</td>" in table and "none" not in table


def test_more_images_have_a_heading_and_a_hint():
    wide = report.Sample(np.zeros((8, 26, 1), np.uint8), "")
    gallery = report.Gallery("Before <and> after", "What the <model> sees.", [wide, wide], columns=3)
    text = report.page(report.Report("T", [], [], galleries=[gallery, report.Gallery("Nothing", "no images", [])]))
    page = Page(text)
    assert len(page.all("img", "small")) == 2 and len(page.all("div", "mistakes wide")) == 1
    assert "Before <and> after" in page.texts and "What the <model> sees." in page.texts
    assert "Nothing" not in page.texts and "<span></span>" not in text
