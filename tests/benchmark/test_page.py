"""The page: self-contained, with all numbers, and with the reason where there is none."""

import re

from lucid.benchmark.page import page
from lucid.training.report import POLICY
from tests.html_page import Page

SHAPE = {"shape": [32, 56, 56, 96], "dtype": "float32"}
STEP = {"mode": "training", "dtype": "float32", "images": 32, "image_size_px": 224}
RESULTS = {
    "format": 1,
    "date": "2026-11-30T12:00:00+00:00",
    "quick": False,
    "seconds": 200.4,
    "failures": 3,
    "copy_gigabytes_per_second": 350.0,
    "machine": {
        "backend": "metal", "device": "Apple M1 Max <g13s>", "system": "macOS-15.1-arm64", "macos": "15.1", "cpus": 10,
        "blas": None, "environment": {"LUCID_NATIVE": "off"}, "memory_bytes": 32 * 2**30,
        "versions": {"mlx": "0.32.4", "lucid": "0.1.0"},
    },
    "kernels": [
        {"kernel": "gelu", "case": "2x3", "dtype": "float32", "version": "erf", "differences": {"y": 1e-7, "x": 3e-7},
         "tolerance": 2e-5, "is_right": True},
        {"kernel": "gelu", "case": "2x3", "dtype": "float16", "version": "erf", "differences": {"value": None},
         "tolerance": 2e-3, "is_right": False},
        {"kernel": "gelu", "case": "2x3", "dtype": "bfloat16", "skipped": "no bfloat & co"},
        {"kernel": "gelu_grn", "case": "2x3", "dtype": "float32", "version": "metal", "error": "no <library>",
         "is_right": False},
    ],
    "depthwise": [
        SHAPE | {"what": "forward", "ours": {"seconds": 1e-3, "of_a_copy": 0.75, "gigabytes_per_second": 77.07},
                 "counted_bytes": 77_100_000, "torch": {"seconds": 2e-3}},
        SHAPE | {"dtype": "bfloat16", "skipped": "no bfloat & co"},
    ],
    "models": [
        STEP | {"framework": "lucid", "title": "Lucid, compiled", "seconds": 0.1, "images_per_second": 320.0,
                "peak_bytes": 2**30, "counted_bytes": 20 * 10**9, "gigabytes_per_second": 200.0, "of_a_copy": 0.571,
                "is_right": True},
        STEP | {"framework": "mlx", "title": "mlx.nn, compiled", "seconds": 0.25, "images_per_second": 128.0},
        STEP | {"framework": "torch", "title": "PyTorch, eager", "error": "out of memory"},
        STEP | {"mode": "inference", "framework": "lucid", "title": "Lucid, compiled", "seconds": 1.0,
                "images_per_second": 32.0, "is_right": False, "difference": 0.5},
    ],
}  # fmt: skip


def test_the_page_is_self_contained():
    text = page(RESULTS)
    found = Page(text)
    assert found.all("script") == [] and "url(" not in text and "://" not in text
    assert {"http-equiv": "Content-Security-Policy", "content": POLICY} in found.all("meta")


def test_the_page_names_machine_and_figures():
    text = " ".join(Page(page(RESULTS)).texts)
    for part in (
        "Apple M1 Max <g13s>, macOS 15.1, MLX 0.32.4, 2026-11-30.", "350 GB/s", "1 of 3", "1 skipped", "75%",
        "of a copy (median of 1)", "float32; 2.5 times mlx.nn", "32 GiB", "LUCID NATIVE", "200 s",
    ):  # fmt: skip
        assert part in text, part


def rows_of(results):
    """The cells of every row of the tables with results."""
    body = page(results).split("<h2>Machine</h2>")[0]
    return [tuple(Page(f"<table>{row}</table>").texts) for row in re.findall(r"<tr>.*?</tr>", body)]


def test_the_tables_hold_all_numbers():
    rows = rows_of(RESULTS)
    assert ("gelu", "2x3", "float32", "erf", "3.0e-07", "2.0e-05", "right") in rows
    assert ("gelu", "2x3", "float16", "erf", "not finite", "2.0e-03", "WRONG") in rows
    assert ("gelu", "2x3", "bfloat16", "skipped: no bfloat & co") in rows
    assert ("32x56x56x96", "float32", "forward", "1.000", "75%", "77.1", "77.07", "77.10", "2.000") in rows
    assert ("training", "float32", "32 of 224x224", "mlx.nn, compiled", "250.0", "128.0") in rows
    whole = (
        "training",
        "float32",
        "32 of 224x224",
        "Lucid, compiled",
        "100.0",
        "320.0",
        "1024",
        "20,000",
        "200.0",
        "57%",
    )
    assert whole in rows


def test_what_failed_says_why():
    text = " ".join(Page(page(RESULTS)).texts)
    for part in ("error: no <library>", "error: out of memory", "WRONG: differs from mlx.nn by 0.5"):
        assert part in text


def test_on_a_cpu_there_are_no_columns_of_rates():
    lines = [{key: one for key, one in line.items() if key not in ("of_a_copy", "gigabytes_per_second")}
             for line in RESULTS["models"]]  # fmt: skip
    rows = rows_of(RESULTS | {"models": lines})
    assert rows[0][-1] == "MB counted" and rows[1][-1] == "20,000"


def test_empty_sections_are_left_out():
    text = page(RESULTS | {"kernels": [], "depthwise": [], "models": [], "quick": True})
    assert "<h2>Kernels" not in text and "<h2>ConvNeXt" not in text and "the times mean nothing" in text
