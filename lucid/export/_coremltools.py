"""coremltools, imported when it is needed and without its remarks."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, remarks and warnings of coremltools in this block.

    It says on every import that it cannot run models on this system, and warns of temporary folders that it leaves to
    the garbage collector.
    """
    logger = logging.getLogger("coremltools")
    level = logger.level
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def load(caller: str) -> Any:
    """The module.

    Raises:
        ImportError: it is not installed.
    """
    try:
        with quiet():
            import coremltools
    except ImportError:
        raise ImportError(f'{caller}: coremltools is required; pip install "lucid-mlx[coreml]"') from None
    return coremltools
