"""The last line of defense for error messages: what MLX or Python raises in an operation becomes an error of Lucid's.

Operations check their arguments first, with messages that say which argument must be what. A call that passes these
checks and fails in MLX all the same is reported with the name of the operation and its arguments, in place of a message
about a function that the user has not called. The original error is its cause.
"""

import re
from types import TracebackType
from typing import Any

import mlx.core as mx

from lucid import _checks

# Every message of Lucid's starts with where: "Conv2d: ", "DataLoader.load_state_dict: ", "+=: ".
_OWN = re.compile(r"([A-Za-z_][\w.]*|[-+*/@%&|^<>]+=?)(: |\[)")
_UNSUPPORTED = re.compile(r"[Nn]ot (yet )?support")
_FOREIGN = ValueError, TypeError, IndexError, AttributeError, ArithmeticError
_PACKAGES = re.compile(r"[/\\](lucid|mlx)[/\\][^:]*$")


def explained(caller: str, error: Exception, args: Any, kwargs: dict[str, Any]) -> Exception:
    """``error`` if its message is Lucid's own or that of a user's function, otherwise one that names the arguments."""
    text = str(error)
    if text.startswith(f"{caller}() ") and isinstance(error, TypeError):  # Python's: a missing or unexpected argument
        return error
    # MLX says std::bad_cast of an integer beyond 64 bits. Other RuntimeErrors are not about the arguments.
    if not (isinstance(error, _FOREIGN) or text == "std::bad_cast") or _OWN.match(text) or not _from_here(error):
        return error
    shown = ", ".join([*map(_shown, args), *(f"{name}={_shown(value)}" for name, value in kwargs.items())])
    is_type = isinstance(error, TypeError) or _UNSUPPORTED.search(text)
    kind = _checks.DtypeError if is_type else _checks.ArgumentError
    found = kind(f"{caller}: cannot be computed for ({shown})")
    found.__cause__ = error
    return found


def _from_here(error: Exception) -> bool:
    """Whether the code that raised ``error`` is Lucid's or MLX's; compiled functions do not show in a traceback."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and bool(_PACKAGES.search(trace.tb_frame.f_code.co_filename))


def _shown(value: Any) -> str:
    if isinstance(value, mx.array):
        return f"{_checks.dtype_name(value.dtype)} {value.shape}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value[:6]))}{', ...' if len(value) > 6 else ''}]"
    return f"{value!r:.60}"
