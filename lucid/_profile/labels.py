"""Who asked for a primitive."""

from dataclasses import dataclass

# Names of the kernels that stand for something in a trace, see ``lucid._profile.marks``.
MARK = "lucid_mark"
STAND_IN = "lucid_stand_in"


@dataclass(frozen=True)
class Label:
    """Who asked for a primitive.

    Attributes:
        operation: The name of the operation, such as "linear".
        direction: "forward", "backward" or "optimizer".
        module: The path of the innermost module, such as "stages.0.1.pwconv1", "" outside of modules.
        line: The line of the user's code, such as "convnext.py:88".
        group: A number that is the same for what an eager run fuses into one kernel; None elsewhere.
    """

    operation: str
    direction: str
    module: str
    line: str
    group: int | None = None
