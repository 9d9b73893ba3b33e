"""Save a model as a folder that timm or transformers opens."""

import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lucid import _checks, nn
from lucid._files import read_regular, write_atomically
from lucid.models.features import FeatureListNet
from lucid.models.preprocessing import ImageTransform
from lucid.models.weights.folder_config import CONFIG
from lucid.models.weights.load import convnext_in, unwrap_compiled
from lucid.models.weights.model_card import ModelCard, is_untouched
from lucid.models.weights.save import has_pointwise_convolutions, quantization_for, weights_in
from lucid.models.weights.tags import find_tag, tags_of
from lucid.models.weights.timm_config import timm_config, timm_variant
from lucid.models.weights.transformers_config import PREPROCESSOR, preprocessor_config, transformers_config
from lucid.serialization.shards import parse_bytes, save_shards

FOLDER_DIALECTS = ("timm", "huggingface")
README = "README.md"
# The files of an earlier save, which a new one replaces or removes.
OWN_FILES = (
    "model.safetensors", "model.safetensors.index.json", "model-[0-9]*-of-[0-9]*.safetensors", PREPROCESSOR, CONFIG,
)  # fmt: skip
_MAX_CONFIG = 1 << 24  # bytes
_RUN = ("best.safetensors", "last.safetensors")


def save_pretrained(
    model: nn.Module,
    folder: str | os.PathLike[str],
    *,
    dialect: str = "timm",
    class_names: Sequence[str] | None = None,
    preprocessing: ImageTransform | None = None,
    name: str | None = None,
    license: str | None = None,
    metrics: Mapping[str, float] | None = None,
    recipe: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    max_shard_size: int | str | None = None,
) -> list[str]:
    """Save a model as a folder that Lucid and another library open: weights, configuration and a model card.

    With ``dialect="timm"``, ``timm.create_model("local-dir:FOLDER", pretrained=True)`` opens it, with
    ``dialect="huggingface"``, transformers' ``AutoModelForImageClassification.from_pretrained("FOLDER")``. In Lucid,
    ``models.from_checkpoint("FOLDER")`` does. The files are ``model.safetensors``, ``config.json``, ``README.md`` and,
    for transformers, ``preprocessor_config.json``.

    They are written to a temporary place in the folder and then renamed, so a save that fails leaves what was there.
    Files of an earlier save are replaced; a ``README.md`` is replaced only if nobody has edited it. Other files stay as
    they are, and if one of them has a name that is needed, nothing is written.

    timm has one eps for all norms: a final norm with Hugging Face's 1e-12 becomes one with the eps of the others.
    Dropout and drop path rates are not saved.

    Args:
        model: A ``ConvNeXt`` or ``ConvNeXtV2`` that the library can build.
        folder: The folder, which is created if necessary.
        dialect: "timm" or "huggingface".
        class_names: One for each output of the classifier. Defaults to ``model.class_names``.
        preprocessing: How images become the model's input. Defaults to ``model.preprocessing``, and for timm, which
            must know, to ``ImageTransform()``.
        name: The title of the model card. Defaults to the name of the folder.
        license: The license of the weights, as the hub calls it: "mit", "apache-2.0", "cc-by-nc-4.0". Defaults to
            that of the published checkpoint whose weights the model was built with, if any.
        metrics: Accuracies for the model card by name, such as ``{"top-1 accuracy, validation images": 0.93}``.
        recipe: Settings of the training for the model card. Defaults to those in ``model.checkpoint_metadata``.
        tags: More tags for the model card.
        max_shard_size: Split larger weights into files of at most this size, in bytes or as in "5GB", with an index.
            timm reads no shards.

    Returns:
        The names of the files that were written.

    Raises:
        ValueError: The library cannot build such a model, or ``folder`` is the folder of a training run, or has weights
            or a ``config.json`` of something else.
        TypeError: ``model`` is not a ConvNeXt, or ``class_names`` are not strings.
        OSError: Writing failed.

    Example:
        >>> from lucid import models
        >>> model = models.convnext_atto(2)
        >>> files = models.save_pretrained(model, "pets", class_names=["cat", "dog"], license="mit")
        >>> files
        ['README.md', 'config.json', 'model.safetensors']
        >>> models.from_checkpoint("pets").class_names
        ['cat', 'dog']
    """
    path = Path(folder)
    where = "save_pretrained"
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{where}: {path} is a file, not a folder")
    run = next((one for one in _RUN if (path / one).exists()), None)
    if run is not None:
        raise ValueError(f"{where}: {path} has {run}, so it is the folder of a training run; choose another one")
    _check_replaceable(where, path)
    with staged(path) as staging:
        write_folder(
            where, model, staging, dialect, class_names=class_names, preprocessing=preprocessing,
            title=name or path.absolute().name, place=str(folder), license=license, metrics=metrics, recipe=recipe,
            tags=tags, max_shard_size=max_shard_size,
        )  # fmt: skip
        readme = path / README
        if readme.exists() and not is_untouched(readme.read_text(encoding="utf-8", errors="replace")):
            (staging / README).unlink()
        written = sorted(one.name for one in staging.iterdir())
    for pattern in OWN_FILES:
        for old in path.glob(pattern):
            if old.name not in written:
                old.unlink()
    return written


def _check_replaceable(where: str, folder: Path) -> None:
    """Check that the files that a save would replace or remove are those of a model, with its ``config.json``.

    Raises:
        ValueError: They are something else.
    """
    config = folder / CONFIG
    if config.exists():
        found = None
        with suppress(ValueError, OSError, RecursionError):
            found = json.loads(read_regular(config, _MAX_CONFIG))
        if isinstance(found, dict) and any(key in found for key in ("architecture", "architectures", "model_type")):
            return
    others = (one.name for pattern in OWN_FILES for one in sorted(folder.glob(pattern)))
    other = CONFIG if config.exists() else next(others, None)
    if other is not None:
        what = "that does not describe a model" if other == CONFIG else f"without a {CONFIG}"
        raise ValueError(f"{where}: {folder} has a file {other} {what}, which would be replaced; choose another folder")


def write_folder(
    caller: str, model: nn.Module, folder: Path, dialect: str, *, class_names: Sequence[str] | None,
    preprocessing: ImageTransform | None, title: str, place: str, is_repository: bool = False, license: str | None,
    metrics: Mapping[str, float] | None, recipe: Mapping[str, Any] | None, tags: Sequence[str],
    max_shard_size: int | str | None,
) -> None:  # fmt: skip
    """Write the files of ``save_pretrained`` into an empty folder."""
    _checks.one_of(caller, "dialect", dialect, FOLDER_DIALECTS)
    model = unwrap_compiled(model)
    if isinstance(model, FeatureListNet):
        raise TypeError(f"{caller}: model must be a ConvNeXt, got {type(model).__name__}, which has no head")
    body = convnext_in(caller, model)
    if body.task != "classification":
        raise ValueError(
            f"{caller}: folders of timm and transformers are for classifiers, but the model is for {body.task}; "
            "save_checkpoint keeps the task"
        )
    quantization_for(caller, body, dialect)  # raises if the model has quantized layers
    max_bytes = parse_bytes(caller, "max_shard_size", max_shard_size)
    class_names = body.class_names if class_names is None else class_names
    transform = body.preprocessing if preprocessing is None else preprocessing
    license = license or _license_of(model)
    files: dict[str, Any] = {}
    if dialect == "timm":
        pointwise = has_pointwise_convolutions(model)
        files[CONFIG] = timm_config(caller, body, pointwise, class_names, transform, license)
        architecture = timm_variant(body)
    else:
        files[CONFIG] = transformers_config(caller, body, class_names, transform)
        architecture = files[CONFIG]["architectures"][0]
        if transform is not None:
            files[PREPROCESSOR] = preprocessor_config(transform)
    arrays, metadata = weights_in(caller, model, dialect, None, class_names, transform, title, {})
    if dialect == "timm" and max_bytes is not None and sum(one.nbytes for one in arrays.values()) > max_bytes:
        raise ValueError(f"{caller}: timm reads no shards; max_shard_size needs dialect='huggingface'")
    card = ModelCard(
        title, place, is_repository, dialect, architecture, model.num_parameters(), files[CONFIG].get("num_classes", 0)
        or len(files[CONFIG].get("id2label", ())), class_names, transform, license, _base_of(model), metrics or {},
        _recipe_of(model) if recipe is None else recipe, tags,
    )  # fmt: skip
    save_shards(arrays, folder, max_bytes, metadata)
    for name, content in files.items():
        write_atomically(folder / name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    write_atomically(folder / README, str(card).encode("utf-8", "replace"))


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A temporary folder in ``folder``, whose files get their final names at the end of the block.

    If the block raises, nothing remains, not even ``folder`` if it is new.
    """
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    staging = folder / f".pretrained.{os.getpid()}-{threading.get_ident()}"
    try:
        staging.mkdir(parents=True)
        yield staging
        # The configuration comes last, so that a reader does not take old weights for new ones.
        for one in sorted(staging.iterdir(), key=lambda path: path.name == CONFIG):
            os.replace(one, folder / one.name)
        new.clear()
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for one in new:
            with suppress(OSError):
                one.rmdir()


def _license_of(model: nn.Module) -> str | None:
    """The license of the published checkpoint that the weights come from."""
    source = _base_of(model)
    return find_tag(source).license if source else None


def _base_of(model: nn.Module) -> str | None:
    """The published checkpoint that the weights come from, if it is known."""
    loaded = model.__dict__.get("load_report") is not None
    settings = _settings(model, "settings")
    trained = settings.get("pretrained", True) and not settings.get("weights")
    for name, holds in ((model.__dict__.get("pretrained_tag"), loaded), (settings.get("model"), trained)):
        if holds and isinstance(name, str):
            if tags_of(name):
                return tags_of(name)[0].name
            with suppress(ValueError):
                return find_tag(name).name
    return None


def _recipe_of(model: nn.Module) -> dict[str, Any]:
    """The settings of the training run that wrote the model's file."""
    return _settings(model, "settings") or _settings(model, "recipe")


def _settings(model: nn.Module, key: str) -> dict[str, Any]:
    metadata = model.__dict__.get("checkpoint_metadata") or {}
    with suppress(ValueError, RecursionError):
        found = json.loads(metadata.get(key, "{}"))
        return found if isinstance(found, dict) else {}
    return {}
