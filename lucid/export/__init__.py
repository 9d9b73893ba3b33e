"""Export a model for use without Lucid: as a program for MLX, Core ML or ONNX, or as weights for another library.

model = lucid.models.from_checkpoint("runs/photos")
lucid.export.mlx(model, "photos.mlxfn")
[logits] = mx.import_function("photos.mlxfn")(images)  # needs only MLX, in any of its languages
lucid.export.coreml(model, "Photos.mlpackage")  # for an app: image in, name of the class out
lucid.export.MLProgram("Photos.mlpackage").run({"image": pixels})  # what it computes, with NumPy
"""

from lucid.export._coreml import coreml
from lucid.export._errors import ExportError
from lucid.export._mil import MLProgram
from lucid.export._mlx import export_function, export_weights
from lucid.export._onnx import onnx

mlx = export_function

__all__ = ["ExportError", "MLProgram", "coreml", "export_function", "export_weights", "mlx", "onnx"]
