"""How often a compiled function was traced again, and why."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Retraces:
    """The retraces of a compiled function and the reason for each."""

    reasons: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.reasons)

    def __str__(self) -> str:
        return "\n".join(
            ["1 retrace" if self.count == 1 else f"{self.count} retraces", *(f"  {one}" for one in self.reasons)]
        )


def is_expected(name: str, was: str | None, now: str | None) -> bool:
    """Whether the function's own calls cause this difference: a gradient, or newly created state."""
    return name.startswith("the gradient of ") or (was is None and str(now).startswith("state "))
