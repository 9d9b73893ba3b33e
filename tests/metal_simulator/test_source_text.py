"""Comments become blanks; threadgroup variables become shared ones, and pointers to them stay."""

import pytest

from tests.metal_simulator.source_text import with_shared_variables, without_comments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a // b\nc", "a     \nc"),
        ("a /* b\n b */ c", "a     \n      c"),
        ('s = "// no comment"; // one', 's = "// no comment";       '),
        ("a /* // */ b", "a          b"),
    ],
)
def test_comments_become_blanks(text, expected):
    assert without_comments(text) == expected


@pytest.mark.parametrize(
    ("declaration", "names", "dimensions"),
    [
        ("threadgroup float tile[16];", ["tile"], ["[16]"]),
        ("threadgroup float tile[N + 2][(K - 1) * 2];", ["tile"], ["[N + 2][(K - 1) * 2]"]),
        ("threadgroup T total;", ["total"], [""]),
        ("threadgroup metal::half a[2], b[3];", ["a", "b"], ["[2]", "[3]"]),
        ("threadgroup vec<float, 4> v[8];", ["v"], ["[8]"]),
        ("threadgroup unsigned int n[8];", ["n"], ["[8]"]),
        ("threadgroup float\n  tile[\n16];", ["tile"], ["[\n16]"]),
    ],
)
def test_variables_are_declared_with_their_names_and_dimensions(declaration, names, dimensions):
    text = with_shared_variables(declaration)
    for name, dimension in zip(names, dimensions, strict=True):
        assert f"simulator_type_of_{name}{dimension};" in text
        assert f'simulator::threadgroup_variable("{name}"' in text
    assert text.count("threadgroup_variable") == len(names)
    assert "threadgroup float" not in text


@pytest.mark.parametrize(
    "text",
    [
        "threadgroup float* p = tile;",
        "threadgroup const float* p = tile;",
        "f((threadgroup float*)tile);",
        "threadgroup_barrier(mem_flags::mem_threadgroup);",
        "thread float tile[16];",
        "uint3 n = threads_per_threadgroup;",
    ],
)
def test_everything_else_stays(text):
    assert with_shared_variables(text) == text


def test_declarations_in_comments_are_ignored():
    assert "threadgroup_variable" not in with_shared_variables("// threadgroup float tile[16];")
