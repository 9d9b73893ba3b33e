"""Checks of the text of shaders: what would be launched on a Mac, through strict mode."""

import mlx.core as mx
import pytest

from lucid import _device
from lucid.kernels import library
from tests.metal_simulator import strict


def check_legal_metal(monkeypatch, launch):
    """Check the text of every kernel that ``launch()``, which returns arrays, launches; returns the names."""
    if reason := strict.missing():
        pytest.skip(reason)
    texts = {}

    def metal_kernel(name, input_names, output_names, source, header):
        def run(*, inputs, output_shapes, output_dtypes, template, **_):
            spaces = tuple(one.size < 8 for one in inputs)
            texts[name, str(template), spaces] = (
                header, source, input_names, inputs, output_names, output_dtypes, template,
            )  # fmt: skip
            return [mx.zeros(shape, dtype) for shape, dtype in zip(output_shapes, output_dtypes, strict=True)]

        return run

    with monkeypatch.context() as patch:
        patch.setattr(mx.fast, "metal_kernel", metal_kernel)
        patch.setattr(_device, "backend", lambda: "metal")
        library.clear_cache()
        try:
            mx.eval(launch())
        finally:
            library.clear_cache()
    for text in texts.values():
        faults = strict.check(*text)
        assert faults == [], faults
    return list(texts)
