"""An extension of Griffe: turns docstrings, as they read in a terminal, into Markdown."""

import re
import textwrap
from typing import Any

import griffe


class Markdown(griffe.Extension):
    """Code after ``::`` becomes a block, ``Example:`` a section, and arguments that share a line get one each."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(text: str) -> str:
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
    text = re.sub(r"^( +)(\*{0,2}\w+(?:, \*{0,2}\w+)+): (.+(?:\n\1 .+)*)", _split_arguments, text, flags=re.MULTILINE)
    return re.sub(r"(?:^|(?<=\n))(.*?) ?::\n\n((?:(?:    .*)?\n)*(?:    .*)(?:\n|$))", _fence, text)


def _split_arguments(match: re.Match[str]) -> str:
    indent, names, description = match.groups()
    return "\n".join(f"{indent}{name}: {description}" for name in names.split(", "))


def _fence(match: re.Match[str]) -> str:
    before, code = match.groups()
    before = before.strip()
    if before and not before.endswith((".", ":")):
        before += ":"
    body = textwrap.dedent(code).strip("\n")
    return f"{before}\n\n```python\n{body}\n```\n"
