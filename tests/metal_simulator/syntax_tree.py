"""Finds pointers without an address space, and recursion, in clang's syntax tree."""

from collections.abc import Iterator

# The address space of C++ for OpenCL pointers and references that name none. Metal does not have it.
_UNNAMED_SPACE = "__generic"
_DECLARATIONS = {"ParmVarDecl", "VarDecl", "FieldDecl"}
_CASTS = {"CStyleCastExpr", "CXXReinterpretCastExpr", "CXXStaticCastExpr", "CXXConstCastExpr", "CXXFunctionalCastExpr"}
_FUNCTIONS = {"FunctionDecl", "CXXMethodDecl", "CXXConstructorDecl", "CXXConversionDecl"}


def nodes(tree: dict) -> Iterator[tuple[dict, str, int, str | None]]:
    """Every node with its file, its line and the id of the function around it, parents first.

    clang writes a file and line only if they differ from the last ones written, in this order: a node's location, its
    begin, its end, then its children. A loop instead of recursion, because expressions nest deeply.
    """
    file, line = "", 0
    stack: list[tuple[dict, str | None]] = [(tree, None)]
    while stack:
        node, function = stack.pop()
        own = None  # its location, or its begin if it has none
        places = (node.get("loc", {}), node.get("range", {}).get("begin", {}), node.get("range", {}).get("end", {}))
        for place in places:
            for written in (place.get("spellingLoc"), place.get("expansionLoc"), place):
                if written:
                    file, line = written.get("file", file), written.get("line", line)
                    if own is None and "offset" in written:
                        own = file, line
        yield node, *(own or (file, line)), function
        if node.get("kind") in _FUNCTIONS:
            function = node["id"]
        stack.extend((child, function) for child in reversed(node.get("inner", [])) if child)


def pointers_without_space(tree: dict, files: set[str]) -> list[str]:
    """One message for each pointer or reference in ``files`` that names no address space."""
    found = set()
    for node, file, line, _ in nodes(tree):
        name = file.rpartition("/")[2]
        if name in files and not node.get("isImplicit") and _UNNAMED_SPACE in _declared_type(node):
            what = f"'{node['name']}'" if node.get("name") else "a cast"
            found.add(f"{name} line {line}: {what} is a pointer or reference without an address space")
    return sorted(found)


def _declared_type(node: dict) -> str:
    """The type written at this node, with typedefs resolved; "" for nodes without one."""
    types = node.get("type", {})
    kind, text = node.get("kind"), f"{types.get('qualType', '')} {types.get('desugaredQualType', '')}"
    if kind in _FUNCTIONS:
        return text.partition("(")[0]  # the return type; parameters are nodes of their own
    return text if kind in _DECLARATIONS | _CASTS else ""


def recursive_functions(tree: dict) -> list[str]:
    """Functions that call themselves, directly or not. Of templates, the instantiations count."""
    names: dict[str, str] = {}
    first: dict[str, str] = {}  # the first declaration of each: a call may name that one or the definition
    calls: dict[str, set[str]] = {}
    for node, _, _, function in nodes(tree):
        if node.get("kind") in _FUNCTIONS:
            previous = node.get("previousDecl", node["id"])
            first[node["id"]] = first.get(previous, previous)
            names[first[node["id"]]] = node.get("name", "?")
        called = node.get("referencedDecl", {}).get("id") or node.get("referencedMemberDecl")
        if function and called:
            calls.setdefault(first[function], set()).add(first.get(called, called))

    def reached_from(start: str) -> set[str]:
        reached: set[str] = set()
        waiting = [start]
        while waiting:
            for called in calls.get(waiting.pop(), ()):
                if called in names and called not in reached:
                    reached.add(called)
                    waiting.append(called)
        return reached

    return sorted({names[function] for function in calls if function in reached_from(function)})
