"""Export to Core ML, see ``coreml``.

``record`` gives the graph of a model, ``program`` writes it with coremltools' builder of MIL, one small function for
each operation of Lucid (``lower_*.py``), ``package`` turns that into a package, and ``verify`` runs what was saved.
"""

from lucid.export._coreml.export import coreml

__all__ = ["coreml"]
