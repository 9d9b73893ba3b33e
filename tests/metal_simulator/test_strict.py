"""Strict mode accepts legal Metal and rejects what Metal's compiler rejects."""

import re

import mlx.core as mx
import pytest

from tests.metal_simulator import strict

pytestmark = pytest.mark.skipif(strict.missing() is not None, reason=strict.missing() or "")

F = "inline float f(const device float* p) "
CALL = "y[0] = f(x);"

ILLEGAL = {
    "pointer without address space": ("inline float f(const float* p) { return p[0]; }", CALL, "'p'|address space"),
    "reference without address space": (
        "inline void g(float& r) { r = 1.0f; }\n" + F + "{ float a = 0.0f; g(a); return a; }",
        CALL,
        "header line 1: 'r' is a pointer or reference without an address space",
    ),
    "local pointer without address space": (
        F + "{\n float a[2] = {0.0f, 1.0f};\n float* q = a;\n return q[0];\n}",
        CALL,
        "header line 3: 'q' is a pointer or reference without an address space",
    ),
    "cast without address space": (
        F + "{ float a = p[0]; return *((float*)&a); }",
        CALL,
        "line 1: a cast is a pointer",
    ),
    "pointer in a struct without address space": (
        "struct S { const float* q; };\n" + F + "{ return p[0]; }",
        CALL,
        "'q'",
    ),
    "return of a pointer without address space": (
        "inline const float* g(const device float* p);\n" + F + "{ return p[0]; }",
        CALL,
        "header line 1: 'g' is a pointer or reference without an address space",
    ),
    "typedef of a pointer without address space": (
        "typedef const float* P;\ninline float g(P q) { return q[0]; }\n" + F + "{ return p[0]; }",
        CALL,
        "header line 2: 'q' is a pointer or reference without an address space",
    ),
    "device pointer for a thread parameter": (
        "inline float h(thread const float* p) { return p[0]; }\n" + F + "{ return h(p); }",
        CALL,
        "header line 2: no matching function for call to 'h'",
    ),
    "constant pointer for a device parameter": (
        F + "{ return p[0]; }",
        "y[0] = f(small);",
        "source line 1: no matching",
    ),
    "threadgroup pointer from a device pointer": (
        F + "{ threadgroup const float* q = p; return q[0]; }",
        CALL,
        "line 1",
    ),
    "threadgroup variable outside a kernel": (
        F + "{ threadgroup float t[4]; t[0] = p[0]; return t[0]; }",
        CALL,
        "local address space",
    ),
    "store through a const pointer": (F + "{ p[0] = 1.0f; return 0.0f; }", CALL, "read-only|not assignable|const"),
    "store to constant memory": (
        F + "{ return p[0]; }",
        "small[0] = 1.0f; " + CALL,
        "source line 1: .*(const|read-only)",
    ),
    "program-scope variable": ("int counter = 0;\n" + F + "{ return float(counter); }", CALL, "header line 1"),
    "double": (F + "{ double d = p[0]; return float(d); }", CALL, "header line 1: Metal has no double"),
    "recursion": (
        "inline int r(int n) { return n < 2 ? 1 : n * r(n - 1); }\n" + F + "{ return float(r(3)); }",
        CALL,
        "'r' calls itself: Metal has no recursion",
    ),
    "recursion in a circle": (
        "int b(int n);\ninline int a(int n) { return b(n); }\ninline int b(int n) { return n ? a(n - 1) : 0; }\n"
        + F
        + "{ return float(a(3)); }",
        CALL,
        "'a' calls itself",
    ),
    "recursion of a template": (
        "template <class T> inline T r(T n) { return n < 2 ? 1 : n * r(n - 1); }\n" + F + "{ return float(r(3)); }",
        CALL,
        "'r' calls itself",
    ),
    "virtual function": (
        "struct A { virtual int g() { return 1; } };\n" + F + "{ A a; return float(a.g()); }",
        CALL,
        "header line 1: Metal has no virtual functions",
    ),
    "lambda": (F + "{ auto l = [](float v) { return v; }; return l(p[0]); }", CALL, "Metal has no lambdas"),
    "function pointer": (
        "inline float g(float v) { return v; }\n" + F + "{ float (*q)(float) = g; return q(p[0]); }",
        CALL,
        "pointers to functions are not allowed",
    ),
    "new": (F + "{ auto q = new int; return float(*q); }", CALL, "Metal has no new"),
    "goto": (F + "{ goto end; end: return p[0]; }", CALL, "Metal has no goto"),
    "exceptions": (F + "{ try { return p[0]; } catch (...) { return 0.0f; } }", CALL, "Metal has no exceptions"),
    "typeid": ("struct A {};\n" + F + "{ return float(sizeof(typeid(A))); }", CALL, "Metal has no typeid"),
    "thread_local": (F + "{ thread_local int n = 0; return float(n); }", CALL, "Metal has no thread_local"),
    "static variable": (F + "{ static int n = 0; return float(++n); }", CALL, "Metal has no static"),
    "variable-length array": (
        F + "{ int n = int(p[0]); float a[n]; a[0] = 1.0f; return a[0]; }",
        CALL,
        "variable.length",
    ),
    "if constexpr": (
        "template <int N> " + F + "{ if constexpr (N > 1) { return p[0]; } return 0.0f; }",
        "y[0] = f<2>(x);",
        "constexpr if is a C\\+\\+17 extension",
    ),
    "structured binding": (
        "struct P { int a; int b; };\n" + F + "{ P q = {1, 2}; auto [u, v] = q; return float(u + v); }",
        CALL,
        "C\\+\\+17 extension",
    ),
    "fold expression": (
        "template <typename... A> inline float s(A... a) { return (a + ...); }\n" + F + "{ return s(p[0], 1.0f); }",
        CALL,
        "C\\+\\+17 extension",
    ),
    "standard library": (
        "#include <cmath>\n" + F + "{ return std::sqrt(p[0]); }",
        CALL,
        "line 2: Metal has no the C|line 2: ",
    ),
    "another include": ("#include <cmath>\n" + F + "{ return p[0]; }", CALL, "header line 1: Metal has no #include"),
    "printf": (F + '{ printf("x"); return p[0]; }', CALL, "Metal has no printf"),
    "long long": (F + "{ long long n = 1; return float(n); }", CALL, "Metal has no long long"),
    "variadic function": (
        "inline float v(int n, ...) { return float(n); }\n" + F + "{ return v(1, 2); }",
        CALL,
        "variadic",
    ),
    "bfloat from float without a cast": (F + "{ bfloat16_t h = p[0]; return float(h); }", CALL, "no viable conversion"),
    "undeclared name": (F + "{\n return zz;\n}", CALL, "header line 2: use of undeclared identifier 'zz'"),
    "unknown function": (F + "{ return frobnicate(p[0]); }", CALL, "undeclared identifier 'frobnicate'"),
    "assembly": (F + '{ asm("nop"); return p[0]; }', CALL, "Metal has no assembly"),
    "one function twice": (
        F + "{ return p[0]; }\n" + F + "{ return p[1]; }",
        CALL,
        "header line 2: redefinition of 'f'",
    ),
    "narrowing": (F + "{ int i = {p[0]}; return float(i); }", CALL, "cannot be narrowed"),
    "error in the body": (F + "{ return p[0]; }", "\n\ny[0] = f(x)", "source line 3|expected ';'"),
}
LEGAL = {
    "plain": (F + "{ return p[0]; }", CALL),
    "include of <metal_stdlib>": (
        "#include <metal_stdlib>\nusing namespace metal;\n" + F + "{ return p[0]; }",
        CALL,
    ),
    "double literal, which Metal reads as float": (F + "{ return p[0] * 2.0; }", CALL),
    "program-scope constant": ("constant constexpr int N = 3;\n" + F + "{ return float(N) * p[0]; }", CALL),
    "forbidden words in comments": ("// a new static double\n/* goto\n virtual */ " + F + "{ return p[0]; }", CALL),
    "template on the pointer": (
        "template <typename P> inline float g(P p) { return p[0]; }",
        "y[0] = g(x) + g(small);",
    ),
    "references with their spaces": (
        "inline void add(thread float& sum, const device float& v) { sum += v; }\n"
        + F
        + "{ float s = 0.0f; add(s, p[1]); return s; }",
        CALL,
    ),
    "arrays and pointers of the thread": (
        "template <int N> inline float sum(thread const float (&a)[N]) {\n float s = 0.0f;\n#pragma unroll\n"
        " for (int i = 0; i < N; ++i) { s = fma(a[i], 1.0f, s); }\n return s;\n}\n"
        + F
        + "{ float a[3] = {p[0], p[1], p[2]}; thread float* q = a; q[0] = 1.0f; return sum<3>(a); }",
        CALL,
    ),
    "functions by their full names": (
        F + "{ return metal::fma(p[0], 2.0f, metal::precise::exp(fast::exp(p[1]))); }",
        CALL,
    ),
    "structs with functions and typedefs": (
        "typedef const device float* P;\nstruct S {\n float a;\n float twice() const thread { return 2.0f * a; }\n};\n"
        "inline P next(P p) { return p + 1; }\n" + F + "{ S s = {next(p)[0]}; return s.twice(); }",
        CALL,
    ),
    "overloads that call each other": (
        "inline float g(float a) { return a; }\ninline float g(float2 a) { return g(a.x) + g(a.y); }\n"
        + F
        + "{ return g(float2(p[0], p[1])); }",
        CALL,
    ),
    "threadgroup memory and barriers": (
        "",
        "threadgroup float t[64]; uint i = thread_position_in_threadgroup.x; t[i] = x[i];\n"
        "threadgroup_barrier(mem_flags::mem_threadgroup); y[i] = simd_sum(t[63 - i]) + simd_shuffle_down(t[i], 1);",
    ),
    "template arguments, shapes, attributes": (
        "",
        "if (threads_per_grid.x < uint(x_shape[0])) { y[0] = float(T(x[x_strides[0]])) + K + (B ? x_ndim : 0); }",
    ),
    "half, bfloat and integers": (
        "",
        "half h = half(x[0]); bfloat16_t b = bfloat16_t(x[1]); int n = min(int(x[2]), 3);\n"
        "y[0] = float(h) + float(b) + float(clamp(n, 0, 2)) + float(size_t(n)) + max(x[0], 0.0f);",
    ),
}


def complaints(header, source):
    x, small = mx.zeros((4, 16)), mx.zeros((4,))
    template = [("T", mx.bfloat16), ("K", 7), ("B", True)]
    return strict.check(header, source, ["x", "small"], [x, small], ["y"], [mx.float32], template)


@pytest.mark.parametrize(("header", "source", "message"), ILLEGAL.values(), ids=ILLEGAL)
def test_it_rejects(header, source, message):
    found = complaints(header, source)
    assert re.search(message, "\n".join(found)), found


@pytest.mark.parametrize(("header", "source"), LEGAL.values(), ids=LEGAL)
def test_it_accepts(header, source):
    assert complaints(header, source) == []
