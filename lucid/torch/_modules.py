"""The modules of ``torch`` that have no file here: they are Lucid's modules under PyTorch's names."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from lucid.torch._names import Mirror, fallback

ABSENT = {
    "onnx": "Lucid has no torch.onnx; lucid.export.onnx writes ONNX files",
    "onnx.operators": "Lucid has no torch.onnx; lucid.export.onnx writes ONNX files",
    "onnx.symbolic_helper": "Lucid has no torch.onnx; lucid.export.onnx writes ONNX files",
    "onnx.symbolic_opset11": "Lucid has no torch.onnx; lucid.export.onnx writes ONNX files",
    "fx.graph_module": "Lucid has no symbolic tracing",
    "fx.node": "Lucid has no symbolic tracing",
    "fx.proxy": "Lucid has no symbolic tracing",
    "ao": "Lucid has no quantization of PyTorch's; mlx.nn.quantize has MLX's",
    "ao.quantization": "Lucid has no quantization of PyTorch's; mlx.nn.quantize has MLX's",
    "quantization": "Lucid has no quantization of PyTorch's; mlx.nn.quantize has MLX's",
    "nn.quantized": "Lucid has no quantization of PyTorch's; mlx.nn.quantize has MLX's",
    "sparse": "Lucid has no sparse tensors",
    "export": "Lucid has no torch.export; lucid.export writes programs for MLX and ONNX",
    "distributed.tensor": "Lucid does not shard tensors over processes",
    "distributed.fsdp": "Lucid does not shard parameters over processes; DistributedDataParallel is there",
    "distributed.rpc": "Lucid has no remote calls",
    "profiler": "lucid.profile counts the bytes of a step on a GPU",
    "utils.cpp_extension": "Lucid does not compile PyTorch's C++ extensions",
}
"""Modules that can be imported, and whose names are errors with these reasons."""

_OF_NN = (
    "activation", "adaptive", "batchnorm", "channelshuffle", "container", "conv", "distance", "dropout", "flatten",
    "fold", "instancenorm", "lazy", "linear", "loss", "module", "normalization", "padding", "pixelshuffle", "pooling",
    "rnn", "sparse", "transformer", "upsampling",
)  # fmt: skip
_OF_OPTIM = (
    "adadelta", "adagrad", "adam", "adamax", "adamw", "asgd", "lbfgs", "nadam", "radam", "rmsprop", "rprop", "sgd",
    "sparse_adam",
)  # fmt: skip
_OF_DISTRIBUTIONS = (
    "bernoulli", "beta", "categorical", "cauchy", "chi2", "dirichlet", "distribution", "exponential", "gamma",
    "geometric", "gumbel", "half_normal", "independent", "kl", "laplace", "log_normal", "normal",
    "one_hot_categorical", "studentT", "uniform",
)  # fmt: skip
_UTILS_OF_NN = (
    "clip_grad", "convert_parameters", "fusion", "parametrizations", "parametrize", "prune", "rnn", "spectral_norm",
    "weight_norm",
)  # fmt: skip

MIRRORS: dict[str, tuple[str, ...]] = {
    "autograd.function": ("lucid.autograd",),
    "autograd.grad_mode": ("lucid.autograd",),
    "autograd.functional": ("lucid.autograd.functional",),
    "autograd.gradcheck": ("lucid.autograd",),
    "autograd.graph": ("lucid.autograd.graph",),
    "autograd.variable": ("lucid.torch.autograd",),
    "fft": ("lucid.fft",),
    "func": ("lucid.func",),
    "linalg": ("lucid.linalg",),
    "special": ("lucid.special",),
    "signal": ("lucid.signal",),
    "signal.windows": ("lucid.signal.windows",),
    "distributions": ("lucid.distributions",),
    "masked": ("lucid.masked",),
    **{f"distributions.{name}": ("lucid.distributions",) for name in _OF_DISTRIBUTIONS},
    "random": ("lucid.random", "lucid"),
    "serialization": ("lucid.torch._saving",),
    "storage": (),
    "_utils": (),
    "_dynamo": (),
    "_dynamo.utils": (),
    "_dynamo.config": (),
    "compiler": (),
    "overrides": (),
    "return_types": (),
    "_custom_ops": ("lucid.torch.library",),
    "functional": ("lucid",),
    "_tensor": ("lucid",),
    "amp.autocast_mode": ("lucid.torch.amp",),
    "amp.grad_scaler": ("lucid.torch.amp",),
    "cuda.amp.autocast_mode": ("lucid.torch.cuda.amp",),
    "cuda.amp.grad_scaler": ("lucid.torch.cuda.amp",),
    "cuda.memory": ("lucid.torch.cuda",),
    "cuda.random": ("lucid.torch.cuda",),
    "jit.annotations": (),
    "nn.functional": ("lucid.nn.functional",),
    "nn.init": ("lucid.nn.init",),
    "nn.parameter": ("lucid.torch.nn",),
    "nn.attention": ("lucid.torch.nn",),
    "nn.parallel.data_parallel": ("lucid.torch.nn.parallel",),
    "nn.parallel.distributed": ("lucid.torch.nn.parallel",),
    "nn.utils": ("lucid.nn.utils",),
    **{f"nn.utils.{name}": (f"lucid.nn.utils.{name}", "lucid.nn.utils") for name in _UTILS_OF_NN},
    "nn.utils.stateless": ("lucid.func.stateless",),
    **{f"nn.modules.{name}": ("lucid.torch.nn.modules",) for name in _OF_NN},
    "optim.lr_scheduler": ("lucid.optim.lr_scheduler",),
    "optim.swa_utils": ("lucid.optim.swa_utils",),
    **{f"optim.{name}": ("lucid.torch.optim",) for name in _OF_OPTIM},
    "utils.data.dataset": ("lucid.torch.utils.data",),
    "utils.data.dataloader": ("lucid.torch.utils.data",),
    "utils.data.sampler": ("lucid.torch.utils.data",),
    "utils.data._utils": ("lucid.torch.utils.data",),
    "utils.data._utils.collate": ("lucid.torch.utils.data",),
}
"""Where the names of a module come from. Modules of Lucid that do not exist are left out."""


def build(own: Mapping[str, Mapping[str, Any]]) -> None:
    """Make the modules, and set them as attributes of their parents. ``own`` are names that Lucid's modules lack."""
    for name, reason in ABSENT.items():
        _register(Mirror(f"lucid.torch.{name}", own=own.get(name), reason=reason))
    for name, sources in MIRRORS.items():
        found = [module for module in map(_module, sources) if module is not None]
        if found or not sources or name in own:
            _register(Mirror(f"lucid.torch.{name}", *found, own=own.get(name)))
    for name, module in list(sys.modules.items()):
        if name.startswith("lucid.torch.") and not isinstance(module, Mirror):
            vars(module).setdefault("__getattr__", fallback(name))


def _module(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        return None


def _register(module: ModuleType) -> None:
    parent, _, stem = module.__name__.rpartition(".")
    setattr(sys.modules[parent], stem, module)
