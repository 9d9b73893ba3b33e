"""``lucid.profile``: the kernels that a step launches on a GPU and the bytes that they move, counted without a GPU.

``function.py`` is the whole in a few lines: ``capture.py`` traces the step like ``lucid.compile``, with marks that say
where a primitive comes from (``marks.py``); ``graph.py`` reads the trace; ``fusion.py`` finds what MLX runs as one
kernel; ``rules.py`` knows the kernels of each primitive and ``layout.py`` how arrays lie in memory.
"""

from lucid._profile.function import profile
from lucid._profile.launches import Kernel
from lucid._profile.result import Profile

__all__ = ["Kernel", "Profile", "profile"]
