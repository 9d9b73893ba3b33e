"""Rewrites shader source without a compiler: comments and declarations of threadgroup variables."""

import re

# Strings come first, so that "//" inside a string does not start a comment.
_COMMENT_OR_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
# threadgroup float tile[16][17], total[4];  Pointers do not match: they have a * before the name.
_THREADGROUP_VARIABLES = re.compile(
    r"\bthreadgroup\s+(?P<type>(?:unsigned\s+|signed\s+)?[\w:]+(?:<[^;<>]*>)?)\s+"
    r"(?P<variables>\w+\s*(?:\[[^;\[\]]*\]\s*)*(?:,\s*\w+\s*(?:\[[^;\[\]]*\]\s*)*)*);"
)
_VARIABLE = re.compile(r"(?P<name>\w+)\s*(?P<dimensions>(?:\[[^\[\]]*\]\s*)*)")


def without_comments(text: str) -> str:
    """The source with comments replaced by blanks; line numbers stay the same."""

    def blank(match):
        found = match.group()
        return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)

    return _COMMENT_OR_STRING.sub(blank, text)


def with_shared_variables(body: str) -> str:
    """The body with its threadgroup variables moved to storage that all threads of a threadgroup share.

    ``threadgroup float tile[16];`` becomes a reference of type ``float (&)[16]``, so the rest of the body, including
    ``sizeof``, keeps its meaning.
    """

    def declare(match):
        element = match["type"]
        declared = []
        for name, dimensions in _VARIABLE.findall(match["variables"]):
            shared = f"simulator_type_of_{name}"
            declared.append(
                f"typedef {element} {shared}{dimensions.strip()}; {shared}& {name} = *static_cast<{shared}*>("
                f'simulator::threadgroup_variable("{name}", sizeof({shared}), sizeof({element})));'
            )
        return " ".join(declared) + "\n" * match.group().count("\n")

    return _THREADGROUP_VARIABLES.sub(declare, without_comments(body))
