"""A package from a program of MIL: precision, compressed weights, descriptions, and the files."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lucid.export._errors import ExportError

COMPRESSIONS = ("int8", "palette8", "palette6", "palette4")
_THRESHOLD = 512  # smaller arrays are not compressed: they are not worth it, and many are scales


def convert(
    ct: Any, program: Any, inputs: Sequence[Any], outputs: Sequence[Any] | None, classes: Sequence[str],
    target: Any, precision: str, compress: str | None,
) -> Any:  # fmt: skip
    """The model of coremltools."""
    model = ct.convert(
        program, source="milinternal", convert_to="mlprogram", inputs=list(inputs),
        outputs=None if classes else outputs,
        classifier_config=ct.ClassifierConfig(list(classes), predicted_probabilities_output="probabilities")
        if classes
        else None,
        minimum_deployment_target=target,
        compute_precision=ct.precision.FLOAT16 if precision == "float16" else ct.precision.FLOAT32,
        skip_model_load=True,
    )  # fmt: skip
    if compress is None:
        return model
    found = _compressed(ct, model, compress)
    _forget(model)
    return found


def _compressed(ct: Any, model: Any, compress: str) -> Any:
    import coremltools.optimize.coreml as cto

    if compress == "int8":
        one = cto.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", weight_threshold=_THRESHOLD)
        return cto.linear_quantize_weights(model, cto.OptimizationConfig(global_config=one))
    bits = int(compress.removeprefix("palette"))
    mode = cto.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=_THRESHOLD)
    return cto.palettize_weights(model, cto.OptimizationConfig(global_config=mode))


def describe(
    model: Any, metadata: Mapping[str, str], inputs: Mapping[str, str], outputs: Mapping[str, str],
    user_defined: Mapping[str, str],
) -> None:  # fmt: skip
    """Write what Xcode shows into the model."""
    model.author = metadata.get("author", "")
    model.license = metadata.get("license", "")
    model.short_description = metadata.get("description", "")
    model.version = metadata.get("version", "")
    for name, text in inputs.items():
        model.input_description[name] = text
    for name, text in outputs.items():
        model.output_description[name] = text
    for key, text in user_defined.items():
        model.user_defined_metadata[key] = text


def check_numbers(values: Iterator[tuple[str, np.ndarray]]) -> None:
    """See that float16 holds the weights.

    Raises:
        ExportError: it does not.
    """
    limit = np.finfo(np.float16).max
    for name, array in values:
        if array.size and np.abs(array).max() > limit:
            raise ExportError(
                f"{name or 'a constant'} holds {np.abs(array).max():.3g}, and float16 ends at {limit:.0f}; "
                "export with precision='float32'"
            )


def save(model: Any, folder: Path) -> None:
    """Write the package.

    Raises:
        OSError: it cannot be written, e.g. because the disk is full.
    """
    try:
        model.save(str(folder))
    except shutil.Error as error:  # a list of files, from copying a folder
        reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
        text = str(reasons[0][2]) if reasons else str(error)
        code = errno.ENOSPC if "No space" in text else errno.EIO
        raise OSError(code, text, str(folder)) from None
    finally:
        _forget(model)


def _forget(model: Any) -> None:
    """Remove the temporary package of a model, which coremltools keeps until Python exits."""
    shutil.rmtree(model.package_path, ignore_errors=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary folder to write to; at the end of the block it becomes ``path``, instead of the package there.

    If the block raises, ``path`` is unchanged.

    Raises:
        FileExistsError: there is something at ``path`` that is no package.
        OSError: the folder cannot be renamed.
    """
    if os.path.lexists(path) and not (path / "Manifest.json").is_file():
        raise FileExistsError(errno.EEXIST, "not a Core ML package, so it is not replaced", str(path))
    number = f"{os.getpid()}-{threading.get_ident()}"
    new = path.with_name(f".{path.stem}.{number}{path.suffix}")
    old = path.with_name(f".{path.stem}.{number}.old")
    try:
        yield new
        if os.path.lexists(path):
            os.replace(path, old)  # a folder with files in it cannot be replaced in one step
        try:
            os.replace(new, path)
        except OSError:
            if os.path.lexists(old):
                os.replace(old, path)
            raise
    except OSError as error:
        if error.filename in (None, str(new)):
            error.filename = str(path)
        raise
    finally:
        for one in (new, old):
            if os.path.islink(one):
                os.unlink(one)
            else:
                shutil.rmtree(one, ignore_errors=True)
