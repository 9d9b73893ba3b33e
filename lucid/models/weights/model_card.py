"""The model card of a folder: README.md with the front matter that the Hugging Face Hub reads.

Source: the hub's specification of model cards, huggingface_hub/src/huggingface_hub/templates/modelcard_template.md.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lucid.models.preprocessing import ImageTransform

_MAX_LISTED = 100  # classes
_MARK = re.compile(r"<!-- written by Lucid, ([0-9a-f]{12}) -->\n\Z")


@dataclass(frozen=True)
class ModelCard:
    """What the README.md of a model says.

    Attributes:
        title: The first heading.
        place: What opens the model: the name of a repository, or of a folder.
        is_repository: Whether ``place`` is a repository on the hub.
        dialect: "timm" or "huggingface".
        architecture: The name of the architecture.
        parameters: Number of parameters.
        outputs: Outputs of the classifier.
        class_names: Their names, if they are known.
        transform: How images become the model's input, if known.
        license: An identifier of the hub, such as "mit".
        base_model: The published checkpoint that the weights come from.
        metrics: Accuracies and the like by name.
        recipe: Settings of the training.
        tags: More tags for the hub.
    """

    title: str
    place: str
    is_repository: bool
    dialect: str
    architecture: str
    parameters: int
    outputs: int
    class_names: Sequence[str] | None = None
    transform: ImageTransform | None = None
    license: str | None = None
    base_model: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()

    def __str__(self) -> str:
        parts = [
            _front_matter(self),
            f"# {_line(self.title)}",
            _summary(self),
            _table("Accuracy", ("metric", "value"), {name: _number(value) for name, value in self.metrics.items()}),
            _use(self),
            _classes(self),
            _table("Training", ("setting", "value"), {name: _setting(value) for name, value in self.recipe.items()}),
            _license(self),
        ]
        text = "\n\n".join(part for part in parts if part) + "\n"
        return f"{text}\n<!-- written by Lucid, {_digest(text)} -->\n"


def is_untouched(text: str) -> bool:
    """Whether a README.md is as Lucid wrote it, so that nobody's words are lost when it is replaced."""
    mark = _MARK.search(text)
    return mark is not None and _digest(text[: mark.start() - 1]) == mark[1]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _front_matter(card: ModelCard) -> str:
    library = {"huggingface": "transformers"}.get(card.dialect, card.dialect)
    family = "convnextv2" if card.architecture.lower().startswith("convnextv2") else "convnext"
    tags = dict.fromkeys(["image-classification", library, "lucid", family, *card.tags])
    lines = ["---"]
    if card.license:
        lines.append(f"license: {_quoted(card.license)}")
    lines += [f"library_name: {library}"]
    lines += ["pipeline_tag: image-classification" if card.outputs else "pipeline_tag: image-feature-extraction"]
    if card.base_model:
        lines.append(f"base_model: {_quoted(card.base_model)}")
    lines += ["tags:", *(f"- {_quoted(tag)}" for tag in tags)]
    if card.metrics:
        lines += ["metrics:", "- accuracy"]
    return "\n".join([*lines, "---"])


def _quoted(text: str) -> str:
    """A YAML scalar: a plain word, or a string with JSON's escapes, which are also YAML's."""
    if re.fullmatch(r"[A-Za-z][\w.-]*(/[\w.-]+)?", text) and text.lower() not in ("true", "false", "yes", "no", "null"):
        return text
    return json.dumps(_line(text), ensure_ascii=False)


def _line(text: str) -> str:
    """The text in one line without control characters."""
    return " ".join("".join(one if one.isprintable() else " " for one in str(text)).split())


def _summary(card: ModelCard) -> str:
    task = f"tells {card.outputs:,} classes apart" if card.outputs else "turns images into features"
    lines = [
        f"A ConvNeXt that {task}: `{_line(card.architecture)}`, {card.parameters / 1e6:.1f} million parameters, saved "
        "with Lucid."
    ]
    if card.transform is not None:
        one = card.transform
        how = "both sides are" if one.crop_mode == "squash" else "the short side is"
        crop = f", and the center of {one.image_size} x {one.image_size} px is cut out"
        crop = "" if one.resize_size == one.image_size and one.crop_mode == "squash" else crop
        lines.append(
            f"Images: {how} resized to {one.resize_size} px ({one.interpolation}){crop}; "
            f"mean {list(one.mean)}, std {list(one.std)}."
        )
    if card.base_model:
        lines.append(f"Based on `{_line(card.base_model)}`.")
    return "\n\n".join(lines)


def _use(card: ModelCard) -> str:
    source = f"hf-hub:{card.place}" if card.is_repository else f"local-dir:{card.place}"
    lucid = [
        "import lucid",
        "",
        f"model = lucid.models.from_checkpoint({source!r})",
        'images = model.preprocessing([lucid.data.open_image("photo.jpg")])',
        "print(model(images).softmax(dim=1))" if card.outputs else "print(model(images).shape)",
    ]
    timm = [
        "import timm",
        "",
        f"model = timm.create_model({source!r}, pretrained=True).eval()",
        "config = timm.data.resolve_model_data_config(model)",
        "transform = timm.data.create_transform(**config, is_training=False)",
    ]
    automatic = "AutoModelForImageClassification" if card.outputs else "AutoModel"
    transformers = [
        f"from transformers import AutoImageProcessor, {automatic}",
        "",
        f"processor = AutoImageProcessor.from_pretrained({card.place!r})",
        f"model = {automatic}.from_pretrained({card.place!r})",
    ]
    name, theirs = ("timm", timm) if card.dialect == "timm" else ("transformers", transformers)
    blocks = [("Lucid, on Apple silicon", lucid), (name, theirs)]
    return "\n\n".join(["## Use", *(f"With {who}:\n\n{_fenced(lines, 'python')}" for who, lines in blocks)])


def _classes(card: ModelCard) -> str:
    if not card.class_names:
        return ""
    names = [_line(name) for name in card.class_names]
    lines = [f"{number}: {name}" for number, name in enumerate(names[:_MAX_LISTED])]
    if len(names) > _MAX_LISTED:
        lines.append(f"... and {len(names) - _MAX_LISTED:,} more, see config.json")
    return f"## Classes\n\n{_fenced(lines, 'text')}"


def _fenced(lines: Sequence[str], language: str) -> str:
    """A block of code whose fence is longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", "\n".join(lines))), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence + language, *lines, fence])


def _table(title: str, head: tuple[str, str], rows: Mapping[str, str]) -> str:
    if not rows:
        return ""
    cells = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items()]
    return "\n".join([f"## {title}", "", f"| {head[0]} | {head[1]} |", "|--|--|", *cells])


def _cell(text: str) -> str:
    return re.sub(r"([\\|<>*_`\[\]])", r"\\\1", _line(text))


def _number(value: Any) -> str:
    return f"{value:.2%}" if isinstance(value, float) and 0 <= value <= 1 else f"{value:,}"


def _setting(value: Any) -> str:
    """A setting as text. Of a path only the last part is shown: a card is public."""
    if isinstance(value, str) and (value.startswith("~") or os.path.isabs(value)):
        return os.path.basename(value.rstrip("/"))
    if isinstance(value, list | tuple):
        return ", ".join(_setting(one) for one in value)
    return str(value)


def _license(card: ModelCard) -> str:
    if card.license:
        return f"## License\n\n{_line(card.license)}"
    return "## License\n\nNo license is stated."
