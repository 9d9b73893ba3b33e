"""Element-wise functions."""

from tests.reference.case import Case, given, positive, real, truth, whole

INF, NAN = float("inf"), float("nan")
ANYWHERE, POSITIVE, INSIDE, ABOVE_1 = (-2.0, 2.0), (0.2, 3.0), (-0.9, 0.9), (1.2, 3.0)
# Name: a range in which it is smooth, and whether integers become float32.
FUNCTIONS = {
    "exp": (ANYWHERE, True),
    "exp2": (ANYWHERE, True),
    "expm1": (ANYWHERE, True),
    "log": (POSITIVE, True),
    "log1p": (POSITIVE, True),
    "log2": (POSITIVE, True),
    "log10": (POSITIVE, True),
    "sqrt": (POSITIVE, True),
    "rsqrt": (POSITIVE, True),
    "square": (ANYWHERE, False),
    "abs": (ANYWHERE, False),
    "absolute": (ANYWHERE, False),
    "sign": (ANYWHERE, False),
    "sin": (ANYWHERE, True),
    "cos": (ANYWHERE, True),
    "tan": ((-1.2, 1.2), True),
    "asin": (INSIDE, True),
    "acos": (INSIDE, True),
    "atan": (ANYWHERE, True),
    "arcsin": (INSIDE, True),
    "arccos": (INSIDE, True),
    "arctan": (ANYWHERE, True),
    "sinh": (ANYWHERE, True),
    "cosh": (ANYWHERE, True),
    "tanh": (ANYWHERE, True),
    "asinh": (ANYWHERE, True),
    "acosh": (ABOVE_1, True),
    "atanh": (INSIDE, True),
    "arcsinh": (ANYWHERE, True),
    "arccosh": (ABOVE_1, True),
    "arctanh": (INSIDE, True),
    "erf": (ANYWHERE, True),
    "erfc": (ANYWHERE, True),
    "erfinv": (INSIDE, True),
    "floor": (ANYWHERE, False),
    "ceil": (ANYWHERE, False),
    "round": (ANYWHERE, False),
    "trunc": (ANYWHERE, False),
    "fix": (ANYWHERE, False),
    "frac": (ANYWHERE, None),  # PyTorch does not support integers
    "reciprocal": (POSITIVE, True),
    "sigmoid": (ANYWHERE, True),
    "nan_to_num": (ANYWHERE, False),
    "deg2rad": (ANYWHERE, True),
    "rad2deg": (ANYWHERE, True),
}
TESTS = ["isnan", "isinf", "isfinite"]
SPECIAL = [0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 1e-30, 1e30]

CASES = []
for op, ((low, high), becomes_float) in FUNCTIONS.items():

    def both(lib, x, op=op):
        return getattr(lib, op)(x), getattr(x, op)()

    CASES += [
        Case(f"{op}: smooth", both, real(3, 5, low=low, high=high, away=0.05)),
        Case(
            f"{op}: transposed",
            lambda lib, x, op=op: getattr(lib, op)(x.t()),
            real(3, 2, low=low, high=high, away=0.05),
        ),
        Case(f"{op}: a number", both, real(low=low, high=high, away=0.05)),
        Case(f"{op}: nothing", both, real(0, 3)),
        Case(f"{op}: float16", both, real(7, low=low, high=high, away=0.1, dtype="float16")),
        Case(f"{op}: bfloat16", both, real(7, low=low, high=high, away=0.1, dtype="bfloat16")),
    ]
    if op not in ("erfinv", "nan_to_num"):  # nothing to learn from 1e-30
        CASES.append(Case(f"{op}: special values", both, given(SPECIAL, grad=False)))
    if becomes_float is not None:
        # Small counts, in the domain of every function: 1 for acosh, and for atanh's infinity too.
        CASES.append(Case(f"{op}: integers", both, whole(7, low=0 if low < 0 else 1, high=4 if high > 1.5 else 1)))
        CASES.append(
            Case(f"{op}: int8", both, whole(7, low=0 if low < 0 else 1, high=4 if high > 1.5 else 1, dtype="int8"))
        )
    if becomes_float:
        CASES.append(Case(f"{op}: bools", both, given([True] if high > 1 else [False], "bool")))
for op in TESTS:
    for dtype in ("float32", "float16", "bfloat16"):
        CASES.append(
            Case(
                f"{op}: {dtype}",
                lambda lib, x, op=op: (getattr(lib, op)(x), getattr(x, op)()),
                given(SPECIAL[:7], dtype, grad=False),
            )
        )
    CASES.append(Case(f"{op}: integers", lambda lib, x, op=op: getattr(lib, op)(x), whole(5)))
    CASES.append(Case(f"{op}: has no gradient", lambda lib, x, op=op: getattr(lib, op)(x * 2), real(5), order=0))

CASES += [
    Case(
        "erfinv: special values",
        lambda lib, x: lib.erfinv(x),
        given([0.0, 1.0, -1.0, NAN, 1.5, 0.999, -0.999], grad=False),
        rtol=1e-4,
    ),
    Case("erfc: large", lambda lib, x: lib.erfc(x), given([3.0, 4.0, -4.0, 9.0]), order=1),
    Case("erfc: the tail", lambda lib, x: lib.erfc(x) * 1e8, given([4.0, 5.0, 5.5]), order=1),
    Case(
        "nan_to_num: of a half",
        lambda lib, x: lib.nan_to_num(x, 1.0, 2.0, 3.0),
        given([NAN, INF, -INF, 1.0], "float16", grad=False),
    ),
    Case(
        "input by name, as PyTorch's parser knows it",
        lambda lib, x: (lib.exp(input=x), lib.exp(x=x), lib.exp(a=x), lib.exp(x1=x)),
        real(3),
    ),
    Case("erf: large", lambda lib, x: lib.erf(x), given([3.0, 4.0, -4.0, 9.0, 0.0]), order=1),
    Case("expm1: small", lambda lib, x: lib.expm1(x), given([1e-6, -1e-6, 1e-4])),
    Case("log1p: small", lambda lib, x: lib.log1p(x), given([1e-6, -1e-6, 1e-4, -0.5])),
    Case("sigmoid: far out", lambda lib, x: lib.sigmoid(x), given([-200.0, -20.0, 0.0, 20.0, 200.0]), order=1),
    Case("tanh: far out", lambda lib, x: lib.tanh(x), given([-200.0, -8.0, 0.0, 8.0, 200.0])),
    Case("abs: gradient at 0", lambda lib, x: lib.abs(x), given([-1.0, 0.0, 2.0])),
    Case("abs: the operator", lambda lib, x: abs(x), real(5)),
    Case("sign: gradient", lambda lib, x: lib.sign(x) * x, real(5)),
    Case("abs: integers, negative", lambda lib, x: (lib.abs(x), lib.sign(x)), whole(9, dtype="int32")),
    Case("round: halves", lambda lib, x: lib.round(x), given([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999])),
    Case(
        "round: decimals",
        lambda lib, x: (lib.round(x, decimals=1), x.round(decimals=2), x.round(decimals=-1)),
        real(9, low=-50, high=50),
    ),
    Case("round: a multiple plus x", lambda lib, x: lib.round(x) * x, real(5)),
    Case("trunc: negative", lambda lib, x: (lib.trunc(x), lib.fix(x), lib.frac(x)), given([-1.7, 1.7, -0.2])),
    Case("sqrt: 0 and negative", lambda lib, x: lib.sqrt(x), given([0.0, -1.0, 4.0], grad=False)),
    Case("sqrt: gradient at 0", lambda lib, x: lib.sqrt(x), given([0.0, 4.0]), order=1),
    Case("square: int32, negative", lambda lib, x: lib.square(x), whole(9, dtype="int32")),
    Case("nan_to_num: values", lambda lib, x: lib.nan_to_num(x, nan=1.5, posinf=7.0, neginf=-8.0), given(SPECIAL)),
    Case(
        "nan_to_num: the limits of float32",
        lambda lib, x: lib.nan_to_num(x),
        given(SPECIAL, grad=False),
        recorded=lambda lib, x: lib.nan_to_num(x.float()),
    ),
    Case("nan_to_num: nan alone", lambda lib, x: x.nan_to_num(2.5), given([NAN, 1.0, 3.0])),
    Case(
        "nan_to_num: the limits of float16",
        lambda lib, x: lib.nan_to_num(x),
        given([NAN, INF, -INF, 1.0], "float16", grad=False),
        recorded=lambda lib, x: lib.nan_to_num(x.half()),
    ),
    *(
        Case(
            f"{op}: four quadrants",
            lambda lib, y, x, op=op: (getattr(lib, op)(y, x), getattr(y, op)(x)),
            given([1.0, 1.0, -1.0, -2.0]),
            given([1.0, -2.0, 0.5, -1.0]),
        )
        for op in ("atan2", "arctan2")
    ),
    Case("atan2: broadcast", lambda lib, y, x: lib.atan2(y, x), real(2, 1, away=0.3), real(3, away=0.3)),
    Case(
        "atan2: on the axes",
        lambda lib, y, x: lib.atan2(y, x),
        given([0.0, 0.0, 1.0, -1.0, 0.0], grad=False),
        given([1.0, -1.0, 0.0, 0.0, 0.0], grad=False),
    ),
    Case(
        "atan2: integers and half",
        lambda lib, y, x: (lib.atan2(y, x), lib.atan2(x, y)),
        whole(5, low=1),
        positive(5, dtype="float16"),
    ),
    Case("square: bools", lambda lib, x: lib.square(x), truth(5)),
    Case("atan2: integers", lambda lib, y, x: lib.atan2(y, x), whole(5, low=1), whole(5, low=1)),
    Case("clone: floats", lambda lib, x: (lib.clone(x), x.clone()), real(2, 3)),
    Case("clone: integers", lambda lib, x: lib.clone(x), whole(3)),
    Case(
        "casts: of floats",
        lambda lib, x: (x.half(), x.bfloat16(), x.int(), x.long(), x.short(), x.bool()),
        real(7, low=-4, high=4),
        order=0,
        rtol=1e-2,
    ),
    Case("casts: of integers", lambda lib, x: (x.float(), x.half(), x.bool(), x.int(), x.short()), whole(7)),
    Case("casts: of bools", lambda lib, x: (x.float(), x.long(), x.int()), truth(7)),
    Case(
        "casts: through half", lambda lib, x: x.half().float() * 3 + x.bfloat16(), given([0.5, 1.0, -2.25]), rtol=1e-6
    ),
    Case("casts: half to float", lambda lib, x: (x.float(), x.to(lib.float32) * 2), real(5, dtype="float16")),
    Case(
        "type_as: half",
        lambda lib, x, y: x.type_as(y),
        given([0.5, 1.0, -2.25]),
        given([1.0], "float16", grad=False),
        recorded=lambda lib, x, y: x.to(y.dtype) * 1,
    ),
    Case("type_as: integers", lambda lib, x, y: x.type_as(y), given([0.5, 1.0, -2.25], grad=False), whole(2)),
    Case("functions of functions", lambda lib, x: lib.exp(lib.sin(x)) * lib.log1p(lib.square(x)), real(7)),
    Case("sqrt: of a negative zero", lambda lib, x: (lib.sqrt(x), lib.rsqrt(x)), given([-0.0, 0.0], grad=False)),
    Case("rsqrt: large and small", lambda lib, x: lib.rsqrt(x), positive(7, low=1e-4, high=1e4)),
]
