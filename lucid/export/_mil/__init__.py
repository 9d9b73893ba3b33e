"""Run a saved Core ML package with NumPy, on any machine, to check what was written.

    program = MLProgram("photos.mlpackage")
    program.run({"image": pixels})["classLabel"]

Apple runs packages on its own systems only. This reads the files of a package (the protobuf of its model, and the
weights next to it) and computes each operation of its ML Program as Apple describes it, in float32, with results
rounded to the precision that the program gives them. It imports nothing that writes packages, neither
``lucid.export._coreml`` nor the recorded graph, so that a mistake there cannot hide here; a test holds that.
coremltools supplies the protobuf classes alone.

Sources: Core ML's specification, https://apple.github.io/coremltools/mlmodel/, its file ``MIL.proto``, and the
description of the operations of MIL,
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from lucid.export._mil.package import PackageError
from lucid.export._mil.program import MLProgram

__all__ = ["MLProgram", "PackageError"]
