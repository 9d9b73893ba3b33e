"""An extension of Griffe: turns docstrings, as they read in a terminal, into Markdown, and completes their tables."""

import dataclasses
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parent))
from glossary import TEXT

from lucid import training

_SECTION = re.compile(r"^(?:Args|Attributes|Returns|Yields|Raises|Examples):$", re.MULTILINE)
_NAMES = r"\*{0,2}\w+(?:, \*{0,2}\w+)*"
_SETTINGS = {field.name: field.metadata.get("help", "") for field in dataclasses.fields(training.Recipe)}


class Markdown(griffe.Extension):
    """Code after ``::`` becomes a block, ``Example:`` a section, and every argument gets a row of its own."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is None:
            return
        obj.docstring.value = to_markdown(obj.docstring.value)
        texts = _SETTINGS if obj.name == "Recipe" else TEXT
        obj.docstring.value = complete(obj.docstring.value, parameters(obj), texts)


def parameters(obj: griffe.Object) -> list[str]:
    """The arguments of a function or constructor; none for a class whose docstring lists attributes instead."""
    if isinstance(obj, griffe.Class) and obj.docstring and "Attributes:" not in obj.docstring.value:
        constructor = obj.members.get("__init__")
    else:
        constructor = obj
    if not isinstance(constructor, griffe.Function):
        return []
    return [one.name for one in constructor.parameters if one.name not in ("self", "cls")]


def to_markdown(text: str) -> str:
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
    text = re.sub(rf"^( +)({_NAMES}): (.+(?:\n\1 .+)*)", _split_arguments, text, flags=re.MULTILINE)
    return re.sub(r"(?:^|(?<=\n))(.*?) ?::\n\n((?:(?:    .*)?\n)*(?:    .*)(?:\n|$))", _fence, text)


def complete(text: str, names: list[str], texts: dict[str, str]) -> str:
    """Add the arguments that the docstring does not explain, in the order of the signature."""
    found = re.search(r"^Args:\n((?:(?: +.*)?\n)*(?: +.*)?)", text, re.MULTILINE)
    entries: dict[str, str] = {}
    if found:
        for entry in re.findall(r"^    (?! ).*(?:\n     .*)*", found[1], re.MULTILINE):
            entries[entry.strip().split(":")[0].strip("* ")] = entry
    missing = [name for name in names if name not in entries]
    if not missing or not names:
        return text
    rows = [entries.get(name, f"    {name}: {texts.get(name) or '-'}") for name in names]
    section = "Args:\n" + "\n".join(rows) + "\n\n"
    if found:
        return text[: found.start()] + section + text[found.end() :].lstrip("\n")
    following = _SECTION.search(text)
    at = following.start() if following else len(text)
    return text[:at].rstrip() + "\n\n" + section + text[at:]


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
