"""Lucid: a deep-learning library with PyTorch's API on MLX.

``import lucid`` provides ``lucid.Tensor`` and its functions, ``lucid.nn``, ``lucid.optim``, ``lucid.data`` and
``lucid.models``. Start with ``examples/train_cifar10.py``.
"""

from lucid import _interrupts  # first: the imports below take the time  # isort: skip
from lucid import _device  # second: loads the BLAS and explains a missing backend  # isort: skip

from lucid import (
    amp,
    autograd,
    checkpoint,
    data,
    distributed,
    linalg,
    memory,
    metrics,
    models,
    nn,
    optim,
    random,
    utils,
)
from lucid._bounds import debug
from lucid._compile import compile
from lucid._creation import *
from lucid._device import device
from lucid._dtypes import (
    bfloat16,
    bool_,
    complex64,
    double,
    float16,
    float32,
    float64,
    half,
    int8,
    int16,
    int32,
    int64,
    long,
    short,
    uint8,
    uint16,
    uint32,
    uint64,
)
from lucid._summary import summary
from lucid._tensor import Tensor
from lucid._version import __version__
from lucid.amp import autocast, is_autocast_enabled
from lucid.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from lucid.ops.activation import log_softmax as log_softmax
from lucid.ops.activation import relu as relu
from lucid.ops.activation import softmax as softmax
from lucid.ops.arithmetic import *
from lucid.ops.comparison import *
from lucid.ops.elementwise import *
from lucid.ops.gather_scatter import *
from lucid.ops.indexing import *
from lucid.ops.joining import *
from lucid.ops.matrix import *
from lucid.ops.reduction import *
from lucid.ops.shape import *
from lucid.ops.sorting import *
from lucid.random import (
    bernoulli,
    initial_seed,
    manual_seed,
    multinomial,
    normal,
    permutation,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    uniform,
)
from lucid.serialization import load, save

float = float32  # PyTorch's names; Python's builtins are not affected
bool = bool_
int = int32
