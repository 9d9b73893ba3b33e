"""The error of this package, which every format raises."""


class ExportError(RuntimeError):
    """The model cannot be exported, or the file that was written does not compute the same."""
