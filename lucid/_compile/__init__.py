"""``lucid.compile``: start with ``function.py``; ``trace.py`` holds the function that MLX traces."""

from lucid._compile.function import Compiled, Retraces, compile
