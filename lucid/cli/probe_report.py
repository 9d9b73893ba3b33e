"""What ``lucid probe`` found, in words, as JSON and as a page."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from lucid import nn
from lucid.data.download import without_secrets
from lucid.evaluation import Features
from lucid.training.photo_dataset import Photos
from lucid.training.progress import duration
from lucid.training.report import Report, hint, picture, write_report

MAX_GROUPS = 50
KINDS = {"knn": "k-NN", "linear": "linear probe"}


@dataclass(frozen=True)
class Result:
    """The accuracy of both classifiers for one split."""

    seed: int | None
    train: int
    val: int
    knn: float
    linear: float
    converged: bool
    confusion: np.ndarray  # of the linear probe
    wrong: list[int]  # samples that k-NN gets wrong


@dataclass(frozen=True)
class Probed:
    """Everything that a run found."""

    photos: Photos
    model: nn.Module
    features: Features
    results: Sequence[Result]
    k: int
    seconds: float  # of the extraction
    options: dict[str, Any]

    def accuracy(self, kind: str) -> tuple[float, float]:
        """The mean over the splits, and the standard deviation; 0 for one split."""
        values = [getattr(one, kind) for one in self.results]
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0

    def remark(self, kind: str) -> str:
        """Where the accuracy is from."""
        if self.results[0].seed is None:
            return f"of {self.results[0].val:,} images in the validation folder"
        spread = f"± {self.accuracy(kind)[1]:.2%}, " if len(self.results) > 1 else ""
        count = len(self.results)
        held = sorted({one.val for one in self.results})  # a group of copies may be in one part or the other
        number = f"{held[0]:,}" + (f" to {held[-1]:,}" if len(held) > 1 else "")
        return f"{spread}{count} random split{'' if count == 1 else 's'}, {number} images held out"

    def lines(self) -> list[str]:
        found = [f"{name:<12} {self.accuracy(kind)[0]:7.2%} {self.remark(kind)}" for kind, name in KINDS.items()]
        if not all(one.converged for one in self.results):
            found.append("the linear probe did not converge; a lower --C helps")
        return found

    def summary(self) -> dict[str, Any]:
        """The content of results.json."""
        rows = [
            {"seed": one.seed, "train": one.train, "val": one.val, "knn": one.knn, "linear": one.linear,
             "converged": one.converged}
            for one in self.results
        ]  # fmt: skip
        means = {kind: dict(zip(("mean", "std"), self.accuracy(kind), strict=True)) for kind in KINDS}
        options = {name: self.options[name] for name in ("layer", "votes", "temperature", "C", "val_part")}
        return {
            "model": self.model.checkpoint_name,
            "image_size": self.model.preprocessing.image_size,
            "images": len(self.features),
            "unreadable": len(self.photos.skipped),
            "classes": list(self.features.classes),
            "k": self.k,
            **options,
            **means,
            "splits": rows,
        }


def write_page(
    path: Path, probed: Probed, plot: bytes, about: str, sheet: bytes, groups: list[list[int]], command: Sequence[str]
) -> None:
    """Write report.html atomically.

    Raises:
        OSError: It cannot be written.
    """
    features, photos, results = probed.features, probed.photos, probed.results
    labels = features.labels
    assert labels is not None
    figures = [(name, f"{probed.accuracy(kind)[0]:.2%}", probed.remark(kind)) for kind, name in KINDS.items()]
    figures += [
        ("images", f"{len(features):,}", f"{len(photos.skipped):,} unreadable"),
        ("features", f"{features.values.shape[1]:,}", f"{duration(probed.seconds)} for all images"),
    ]
    split = "the validation folder" if results[0].seed is None else f"the split with seed {results[0].seed}"
    report = Report(
        title=f"Features of {probed.model.checkpoint_name} on {photos.root.name}",
        history=(),
        classes=features.classes,
        confusion=results[0].confusion,
        figures=figures,
        lead=time.strftime("%Y-%m-%d"),
        command=without_secrets(shlex.join(command)),
        split="val",
        classes_hint=f"The linear probe on {split}.",
        configuration={**probed.summary(), "classes": len(features.classes), "knn": "", "linear": "", "splits": ""},
        sections=[
            f"<h2>Features</h2>\n{hint(f'All images, {about}.')}{picture('features by class', plot)}",
            "<h2>Nearest neighbors</h2>\n"
            + hint(
                f"Validation images of {split}, first some that k-NN gets wrong, and the most similar training images "
                "with the cosine of their angle. Green: the same class."
            )
            + picture("nearest neighbors", sheet),
            _duplicates(probed, groups),
            _seeds(results),
        ],
    )
    write_report(path, report)


def _duplicates(probed: Probed, groups: list[list[int]]) -> str:
    threshold = probed.options["duplicates"]
    found = f"{len(groups)} group{'' if len(groups) == 1 else 's'}" if groups else "No group"
    text = hint(f"{found} of images whose similarity is at least {threshold:g}; duplicates.csv lists all of them.")
    rows = "".join(
        f"<tr><td>{escape(', '.join(probed.features.names[one] for one in group))}</td></tr>"
        for group in groups[:MAX_GROUPS]
    )
    return f"<h2>Near-duplicates</h2>\n{text}" + (f'<div class="panel"><table>{rows}</table></div>' if rows else "")


def _seeds(results: Sequence[Result]) -> str:
    if len(results) == 1:
        return ""
    rows = "".join(
        f"<tr><td>{one.seed}</td><td>{one.train:,}</td><td>{one.val:,}</td><td>{one.knn:.2%}</td>"
        f"<td>{one.linear:.2%}</td></tr>"
        for one in results
    )
    head = "".join(f"<th>{name}</th>" for name in ("seed", "training images", "validation images", *KINDS.values()))
    return f'<h2>Splits</h2>\n<div class="panel scroll"><table class="epochs"><tr>{head}</tr>{rows}</table></div>'
