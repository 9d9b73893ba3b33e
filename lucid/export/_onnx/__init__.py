"""ONNX: ``lucid.export.onnx``. The table of translations is in the files of this package, by family."""

from lucid.export._onnx import activations, arithmetic, norms, products, shapes, windows
from lucid.export._onnx.writing import onnx

__all__ = ["activations", "arithmetic", "norms", "onnx", "products", "shapes", "windows"]
