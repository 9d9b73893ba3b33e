"""Lucid as ``torch``: PyTorch programs run on MLX without an edit.

::

    python -m lucid.torch train.py --epochs 3     # in this process, `import torch` is lucid.torch
    python -m lucid.torch -m package.train

or, in a program, before anything imports ``torch``::

    import lucid.torch
    lucid.torch.install()
    import timm                                   # packages that are pure Python work on top of it

``import lucid.torch as torch`` gives the same module, and changes nothing for the rest of the process. The names are
PyTorch's; what they compute, and the differences that docs/pytorch-differences.md lists, are Lucid's. A name that is
missing says what to do.
"""

import contextlib as _contextlib
import math as _math
import typing as _typing

import mlx.core as _mx

import lucid as _lucid
from lucid.optim.lr_scheduler import LRScheduler as _LRScheduler
from lucid.torch import (
    _C,
    _functions,
    _modules,
    _six,
    accelerator,
    amp,
    autograd,
    backends,
    cuda,
    distributed,
    fx,
    hub,
    jit,
    library,
    mps,
    multiprocessing,
    nn,
    optim,
    testing,
    types,
    utils,
    version,
    xpu,
)
from lucid.torch._compiled import compile as compile
from lucid.torch._functions import *
from lucid.torch._functions import _assert as _assert
from lucid.torch._functions import _check as _check
from lucid.torch._functions import _sample_dirichlet as _sample_dirichlet
from lucid.torch._install import install as install
from lucid.torch._names import fallback as _fallback
from lucid.torch._ops import ops as ops
from lucid.torch._saving import load as load
from lucid.torch._saving import save as save
from lucid.torch.version import __version__ as __version__

dtype = _mx.Dtype
inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None

# MLX's dtypes lack these attributes of PyTorch's.
for _name, _of in {
    "is_floating_point": lambda self: _mx.issubdtype(self, _mx.floating),
    "is_complex": lambda self: _mx.issubdtype(self, _mx.complexfloating),
    "is_signed": lambda self: not _mx.issubdtype(self, _mx.unsignedinteger) and self != _mx.bool_,
    "itemsize": lambda self: self.size,
}.items():
    setattr(dtype, _name, property(_of))

_ONLY_LUCID = frozenset({
    "checkpoint", "data", "debug", "memory", "metrics", "models", "one_hot", "pad", "permutation", "profile", "random",
    "serialization", "summary", "uniform",
})  # fmt: skip
__getattr__ = _fallback(__name__, _lucid, hidden=_ONLY_LUCID)

_modules.build({
    "optim.lr_scheduler": {"_LRScheduler": _LRScheduler},
    "serialization": {  # nothing is unpickled, so there are no lists of what may be
        "safe_globals": lambda safe_globals: _contextlib.nullcontext(),
        "add_safe_globals": lambda safe_globals: None,
        "clear_safe_globals": lambda: None,
    },
    "onnx": {"is_in_onnx_export": lambda: False, "register_custom_op_symbolic": lambda *args, **kwargs: None},
    "onnx.symbolic_helper": {"parse_args": lambda *kinds: jit._same},
    "fx.node": {"Target": _typing.Any, "Node": fx.Node},
    "fx.proxy": {"Proxy": fx.Proxy},
    "fx.graph_module": {
        "GraphModule": fx.GraphModule, "_CodeOnlyModule": fx.GraphModule, "_copy_attr": fx.symbolic_trace,
        "_USER_PRESERVED_ATTRIBUTES_KEY": "_user_preserved_attributes",
    },
    "ao.quantization": {"QuantStub": _lucid.nn.Identity, "DeQuantStub": _lucid.nn.Identity},
    "jit.annotations": {"List": list, "Dict": dict, "Optional": _typing.Optional, "Tuple": tuple} | {
        f"BroadcastingList{number}": list for number in range(1, 7)
    },
    "_dynamo": {"is_compiling": lambda: False, "disable": jit._same, "allow_in_graph": jit._same},
    "_dynamo.utils": {"is_compile_supported": lambda device_type: False},
    "compiler": {
        "is_compiling": lambda: False, "is_dynamo_compiling": lambda: False, "disable": jit.ignore,
        "allow_in_graph": jit._same, "reset": lambda: None, "cudagraph_mark_step_begin": lambda: None,
    },
    "overrides": {
        "has_torch_function": lambda tensors: False, "is_tensor_like": _lucid.is_tensor,
        "handle_torch_function": None,
    },
})  # fmt: skip
