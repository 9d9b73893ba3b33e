"""``torch.backends``: which backends there are. Their settings are kept and have no effect."""

from lucid.torch._names import Mirror as _Mirror
from lucid.torch.backends import cpu, cuda, cudnn, mps


def _absent(name: str) -> _Mirror:
    return _Mirror(f"{__name__}.{name}", own={"is_available": lambda: False, "enabled": False, "flags": cudnn.flags})


mkl, mkldnn, openmp, opt_einsum, quantized, nnpack = map(
    _absent, ("mkl", "mkldnn", "openmp", "opt_einsum", "quantized", "nnpack")
)
