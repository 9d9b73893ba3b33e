"""Operations on tensors, by family. ``lucid.exp``, ``Tensor.exp`` and ``lucid.ops.exp`` are the same function.

Each family lists what it exports in ``__all__``. ``import relu as relu`` marks a re-export for type checkers.
"""

from lucid.ops.activation import celu as celu
from lucid.ops.activation import celu_ as celu_
from lucid.ops.activation import hardshrink as hardshrink
from lucid.ops.activation import log_softmax as log_softmax
from lucid.ops.activation import prelu as prelu
from lucid.ops.activation import relu as relu
from lucid.ops.activation import relu_ as relu_
from lucid.ops.activation import selu as selu
from lucid.ops.activation import selu_ as selu_
from lucid.ops.activation import softmax as softmax
from lucid.ops.activation import threshold as threshold
from lucid.ops.activation import threshold_ as threshold_
from lucid.ops.arithmetic import *
from lucid.ops.assembling import *
from lucid.ops.comparison import *
from lucid.ops.difference import *
from lucid.ops.elementwise import *
from lucid.ops.gather_scatter import *
from lucid.ops.indexing import *
from lucid.ops.integration import *
from lucid.ops.joining import *
from lucid.ops.matrix import *
from lucid.ops.nan_reduction import *
from lucid.ops.number_parts import *
from lucid.ops.padding import *
from lucid.ops.pointwise import *
from lucid.ops.quantiles import *
from lucid.ops.reduction import *
from lucid.ops.scan import *
from lucid.ops.shape import *
from lucid.ops.sorting import *
from lucid.ops.splitting import *
