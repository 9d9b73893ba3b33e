"""``lucid.compile``. Start with ``function.py``; ``trace.py`` is what is traced."""

from lucid._compile.function import Compiled, Retraces, compile
