"""``lucid.compile``: start with ``function.py``; ``trace.py`` holds the function that MLX traces.

The principle: **what a trace has read is part of its key, or an input of the graph, or named in an error.** A graph is
used again only if everything that the function can read is the same: arguments (``arguments.py``), state
(``state.py``), and the Python values that its code can reach (``world.py`` with ``values.py``; ``bytecode.py`` says
what the code names, ``foreign.py`` which code is the user's). Otherwise the function is traced again, and the reason is
recorded. What cannot be compared in bounded time is refused, with its place (``places.py``) and the way out.
``guards.py`` checks that a trace changes nothing else, and undoes everything if it fails. Gradients of the result come
from the tape, in a trace of their own (``differentiable.py``).
"""

from lucid._compile.function import Compiled, compile
from lucid._compile.retraces import Retraces
