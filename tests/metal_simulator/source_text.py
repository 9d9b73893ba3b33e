"""Reading shader text without a compiler: comments, strings, declarations of threadgroup variables."""

import re

# A string first, so that "//" inside one is no comment.
_COMMENT_OR_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
# threadgroup float tile[16][17], total[4];  Not pointers: their type has a * before the name.
_THREADGROUP_VARIABLES = re.compile(
    r"\bthreadgroup\s+(?P<type>(?:unsigned\s+|signed\s+)?[\w:]+(?:<[^;<>]*>)?)\s+"
    r"(?P<variables>\w+\s*(?:\[[^;\[\]]*\]\s*)*(?:,\s*\w+\s*(?:\[[^;\[\]]*\]\s*)*)*);"
)
_VARIABLE = re.compile(r"(?P<name>\w+)\s*(?P<dimensions>(?:\[[^\[\]]*\]\s*)*)")


def without_comments(text: str) -> str:
    """The text with blanks for comments, each line in its place."""

    def blank(match):
        found = match.group()
        return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)

    return _COMMENT_OR_STRING.sub(blank, text)


def with_shared_variables(body: str) -> str:
    """The body with its threadgroup variables in the simulator's storage, which all threads of a threadgroup share.

    ``threadgroup float tile[16];`` becomes a reference of type ``float (&)[16]``: the rest of the body, ``sizeof``
    included, means what it meant.
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
