"""Collect what the documentation site is built from: the guides, the files they show, and a reference page per name.

    python docs/tools/prepare.py build/docs

The reference pages hold directives of mkdocstrings, which reads signatures and docstrings from the imported package.
"""

import importlib
import inspect
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import architecture

import lucid

ROOT = Path(__file__).parents[2]
# Modules by their position in the navigation. An object with several names has its page in the first module.
MODULES = [
    "lucid", "lucid.nn", "lucid.nn.functional", "lucid.nn.init", "lucid.nn.utils", "lucid.optim",
    "lucid.optim.lr_scheduler", "lucid.optim.swa_utils", "lucid.distributions", "lucid.models", "lucid.data",
    "lucid.data.augment", "lucid.data.transforms", "lucid.training", "lucid.evaluation", "lucid.metrics",
    "lucid.checkpoint", "lucid.amp", "lucid.autograd", "lucid.distributed", "lucid.random",
    "lucid.linalg", "lucid.masked", "lucid.memory",
    "lucid.serialization", "lucid.explain", "lucid.export", "lucid.utils",
]  # fmt: skip


class Entry(NamedTuple):
    """A public name: ``path`` is where users find the object, ``page`` the file below ``reference/``."""

    path: str
    thing: Any
    page: str

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


def public_names(module: ModuleType) -> list[str]:
    """The public classes and functions of a module, without helpers that it only imports."""
    listed = getattr(module, "__all__", None)
    names = []
    for name in listed or vars(module):
        thing = getattr(module, name)
        home = getattr(thing, "__module__", None) or ""
        if name.startswith("_") or not callable(thing) or not home.startswith("lucid"):
            continue
        is_package = hasattr(module, "__path__") or module.__name__ == "lucid.nn.functional"
        if listed or is_package or home == module.__name__:
            names.append(name)
    return sorted(names, key=lambda name: (not inspect.isclass(getattr(module, name)), name.lower()))


def canonical(module: ModuleType, name: str) -> bool:
    """Whether a name is the object's own, not an alias such as ``concat`` of ``cat``."""
    return getattr(inspect.unwrap(getattr(module, name)), "__name__", name) == name


def collect() -> dict[str, list[Entry]]:
    """The entries of each module; names of one object share a page."""
    pages: dict[int, str] = {}
    used: set[str] = set()
    entries: dict[str, list[Entry]] = {}
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        folder = module_name.replace("lucid", "", 1).strip(".").replace(".", "/") or "core"
        entries[module_name] = []
        for name in sorted(public_names(module), key=lambda name: not canonical(module, name)):
            thing = getattr(module, name)
            if id(thing) not in pages:
                page = f"{folder}/{name}"
                # lucid.Tensor and lucid.tensor are one folder where file systems ignore case.
                if page.lower() in used:
                    page += "-function"
                used.add(page.lower())
                pages[id(thing)] = f"{page}.md"
            entries[module_name].append(Entry(f"{module_name}.{name}", thing, pages[id(thing)]))
        order = public_names(module)
        entries[module_name].sort(key=lambda one: order.index(one.name))
    return entries


def first_sentence(thing: Any) -> str:
    """The first paragraph of a docstring in one line, for tables."""
    doc = inspect.getdoc(thing) or ""
    text = " ".join(doc.split("\n\n")[0].split()).removesuffix("::").strip()
    # In code a bar does not end the cell.
    return "".join(part if i % 2 else part.replace("|", "\\|") for i, part in enumerate(re.split(r"(``.*?``)", text)))


def public_bases(cls: type, known: dict[type, Entry]) -> list[type]:
    return [base for base in cls.__mro__[1:] if base in known]


def own_members(cls: type, known: dict[type, Entry]) -> list[str]:
    """Public methods and properties of a class, with those of base classes that no page describes."""
    names: list[str] = []
    for owner in cls.__mro__:
        if not owner.__module__.startswith("lucid") or any(
            issubclass(base, owner) for base in public_bases(cls, known)
        ):
            continue
        for name, member in vars(owner).items():
            function = getattr(member, "__func__", member)
            # A function of another module that a class keeps as an attribute is no method.
            is_method = inspect.isfunction(function) and function.__qualname__.startswith(owner.__qualname__)
            if (
                (is_method or isinstance(member, property))
                and not name.startswith("_")
                and name not in names
                and not redefined(cls, name, known)
            ):
                names.append(name)
    return names


def redefined(cls: type, name: str, known: dict[type, Entry]) -> bool:
    """Whether a method without a docstring of its own only redefines one that another page describes."""
    own = next(vars(owner)[name] for owner in cls.__mro__ if name in vars(owner))
    return not getattr(own, "__doc__", None) and any(name in vars(base) for base in public_bases(cls, known))


def inherited_table(cls: type, known: dict[type, Entry], shown: list[str]) -> Iterator[str]:
    """Tables of the methods from each base class that has a page of its own."""
    seen = set(shown)
    for base in public_bases(cls, known):
        rows = []
        for name in own_members(base, known):
            if name not in seen:
                seen.add(name)
                rows.append(f"| [`{name}`][{known[base].path}.{name}] | {first_sentence(getattr(base, name))} |")
        if rows:
            yield f"\n## Inherited from {known[base].name}\n\nMethods of [`{known[base].path}`][]:\n"
            yield "| | |\n|--|--|"
            yield from rows


def function_table(cls: type, pages: dict[int, str]) -> Iterator[str]:
    """A table of the methods that are functions with a page of their own, such as those of tensors."""
    methods = {
        name: getattr(cls, name)
        for owner in cls.__mro__
        for name in vars(owner)
        if not name.startswith("_") and id(inspect.getattr_static(cls, name)) in pages
    }
    if methods:
        yield "\n## Methods that are functions\n\n`x.name(...)` is `lucid.name(x, ...)`:\n\n| | |\n|--|--|"
        for name, function in sorted(methods.items()):
            yield f"| [`{name}`](../{pages[id(function)]}) | {first_sentence(function)} |"


def class_page(entry: Entry, known: dict[type, Entry], pages: dict[int, str]) -> str:
    parts = [f"::: {entry.path}\n    options:\n      heading_level: 1\n      members: []\n"]
    if getattr(entry.thing, "_is_protocol", False):  # its constructor is typing's
        parts[0] += "      merge_init_into_class: false\n"
    parts.append(architecture.section(entry.thing))
    members = own_members(entry.thing, known)
    if members:
        parts.append("\n## Methods and properties\n")
    for name in members:
        parts.append(
            f"::: {entry.path}.{name}\n    options:\n      heading_level: 3\n      show_root_full_path: false\n"
        )
    parts += function_table(entry.thing, pages)
    parts += inherited_table(entry.thing, known, members)
    return "\n".join(parts) + "\n"


def function_page(entry: Entry, others: list[str]) -> str:
    text = f"::: {entry.path}\n    options:\n      heading_level: 1\n      show_source: true\n"
    if others:
        text += f"\nAlso available as {', '.join(f'`{name}`' for name in others)}.\n"
    return text


# The sections of the page of lucid, by the file that defines a function; other files give their name.
FAMILIES = {
    "autocast_mode": "Gradients and precision",
    "creation": "Creating tensors",
    "elementwise": "Elementwise functions",
    "function": "Compilation and summary",
    "gather_scatter": "Gather and scatter",
    "grad_mode": "Gradients and precision",
    "load": "Files",
    "matrix": "Matrix products",
    "random": "Random numbers",
    "safetensors_file": "Files",
    "summary": "Compilation and summary",
    "tensor": "Creating tensors",
}


def family(thing: Any) -> str:
    """What a function of ``lucid`` is about."""
    stem = inspect.unwrap(thing).__module__.rpartition(".")[2].strip("_")
    return FAMILIES.get(stem, stem.replace("_", " ").capitalize())


def module_page(module_name: str, entries: list[Entry], depth: str) -> str:
    lines = [f"# {module_name}\n", f"::: {module_name}", "    options:", "      members: []"]
    lines += ["      show_root_heading: false", "      show_root_toc_entry: false", ""]

    def table(title: str, rows: list[Entry]) -> None:
        if rows:
            lines.append(f"\n## {title}\n\n| | |\n|--|--|")
            for one in rows:
                lines.append(f"| [`{one.name}`]({depth}{one.page}) | {first_sentence(one.thing)} |")

    table("Classes", [one for one in entries if inspect.isclass(one.thing)])
    functions = [one for one in entries if not inspect.isclass(one.thing)]
    if module_name == "lucid":
        families: dict[str, list[Entry]] = {}
        for one in functions:
            families.setdefault(family(one.thing), []).append(one)
        for title, rows in sorted(families.items()):
            table(title, rows)
    else:
        table("Functions", functions)
    return "\n".join(lines) + "\n"


def write_reference(folder: Path) -> int:
    """Write the reference pages and their navigation; the number of pages."""
    entries = collect()
    everything = [one for rows in entries.values() for one in rows]
    known = {one.thing: one for one in reversed(everything) if inspect.isclass(one.thing)}
    pages = {id(one.thing): one.page for one in everything if not inspect.isclass(one.thing)}
    names: dict[str, list[str]] = {}
    for one in everything:
        names.setdefault(one.page, []).append(one.path)
    navigation = ["* [Overview](index.md)"]
    written: set[str] = set()
    for module_name, rows in entries.items():
        home = module_name.replace("lucid", "", 1).strip(".").replace(".", "/") or "core"
        target = folder / home / "index.md"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(module_page(module_name, rows, "../" * len(Path(home).parts)), encoding="utf-8")
        navigation += [f"* {module_name}", f"    * [{module_name}]({home}/index.md)"]
        for one in rows:
            if one.page in written:
                continue
            written.add(one.page)
            navigation.append(f"    * [{one.name}]({one.page})")
            if inspect.isclass(one.thing):
                text = class_page(one, known, pages)
            else:
                text = function_page(one, names[one.page][1:])
            (folder / one.page).write_text(text, encoding="utf-8")
    (folder / "SUMMARY.md").write_text("\n".join(navigation) + "\n", encoding="utf-8")
    overview = ["# Reference\n", f"Every public name of Lucid {lucid.__version__}.\n", "| module | |\n|--|--|"]
    for module_name in MODULES:
        home = module_name.replace("lucid", "", 1).strip(".").replace(".", "/") or "core"
        module = importlib.import_module(module_name)
        overview.append(f"| [`{module_name}`]({home}/index.md) | {first_sentence(module)} |")
    (folder / "index.md").write_text("\n".join(overview) + "\n", encoding="utf-8")
    return len(written)


def copy_guides(target: Path) -> None:
    """Copy the guides, and the files outside of docs/ to which they link; programs as text, which browsers show."""
    for source in sorted((ROOT / "docs").glob("*.md")):
        text = source.read_text(encoding="utf-8")
        for linked in sorted(set(re.findall(r"\]\(\.\./([^)#]+)\)", text)), reverse=True):
            shown = f"files/{linked}.txt" if linked.endswith((".md", ".metal", ".py")) else f"files/{linked}"
            text = text.replace(f"](../{linked})", f"]({shown})")
            (target / shown).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / linked, target / shown)
        (target / source.name).write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / "docs/assets", target / "assets")


def main() -> None:
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    copy_guides(target)
    pages = write_reference(target / "reference")
    print(f"{pages} reference pages in {target}/reference")


if __name__ == "__main__":
    main()
