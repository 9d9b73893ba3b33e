"""``lucid.compile``. Start with ``function.py``; ``recipe.py`` is what is traced."""

from lucid._compile.function import Compiled, Retraces, compile
