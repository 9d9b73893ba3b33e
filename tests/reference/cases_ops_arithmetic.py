"""Element-wise arithmetic on operands that broadcast."""

from tests.reference.case import Case, constant, distinct, given, positive, real, truth, whole

SHAPES = [
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((3,), (2, 3)),
    ((2, 1), (1, 3)),
    ((), (2, 3)),
    ((5,), ()),
    ((), ()),
    ((0, 3), (1, 3)),
    ((1,), (7,)),
]
FLOATING = ["add", "sub", "mul", "div", "maximum", "minimum", "hypot", "logaddexp", "pow", "remainder", "fmod"]
ALIASES = {
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
}
WHOLE = ["add", "sub", "mul", "maximum", "minimum", "remainder", "fmod", "floor_divide"]
BITS = ["bitwise_and", "bitwise_or", "bitwise_xor"]
DTYPES = [
    ("int64", "int64"),
    ("int32", "int64"),
    ("int8", "int16"),
    ("uint8", "int8"),
    ("uint8", "int32"),
    ("bool", "int64"),
    ("int32", "float16"),
    ("int64", "float32"),
    ("bool", "bfloat16"),
    ("float16", "float32"),
    ("bfloat16", "float16"),
    ("bfloat16", "float32"),
]


def function(name):
    return lambda lib, *tensors: getattr(lib, name)(*tensors)


def method(name):
    return lambda lib, x, *rest: getattr(x, name)(*rest)


def operand(*shape, dtype="float32", low=1, high=6):
    """Numbers in [low, high), integers for integer dtypes."""
    if dtype == "bool":
        return truth(*shape)
    if dtype in ("float32", "float16", "bfloat16"):
        return real(*shape, low=low, high=high - 1, dtype=dtype)
    return whole(*shape, low=low, high=high, dtype=dtype)


INF, NAN = float("inf"), float("nan")
DIVISORS = given([1, -2, 3, -4] * 7 + [5, -7, 9], "int64")

CASES = []
for op in FLOATING:
    for left, right in SHAPES:
        # Quotients stay away from integers, where the remainder jumps; bases are positive.
        x, y = (positive, positive) if op in ("pow", "remainder", "fmod", "div", "hypot") else (real, real)
        CASES.append(Case(f"{op}: {left} and {right}", function(op), x(*left), y(*right)))
    CASES.append(Case(f"{op}: method", method(op), positive(2, 3), positive(2, 3)))
    CASES.append(
        Case(f"{op}: transposed", lambda lib, x, y, op=op: getattr(lib, op)(x.t(), y), positive(3, 2), positive(2, 3))
    )
    CASES.append(Case(f"{op}: half", function(op), positive(5, dtype="float16"), positive(5, dtype="float16")))
    CASES.append(Case(f"{op}: bfloat16", function(op), positive(5, dtype="bfloat16"), positive(5, dtype="bfloat16")))
for alias, op in ALIASES.items():
    CASES.append(Case(f"{alias}: as {op}", function(alias), positive(2, 3), positive(3)))
for op in ["add", "sub", "mul", "div", "pow", "maximum", "remainder"]:
    for left, right in DTYPES:
        # The gradient of a single bfloat16 value is a sum with three digits.
        order = 0 if op in ("remainder", "pow") or "bfloat16" in (left, right) else 1
        if op == "sub" and "bool" in (left, right):
            continue
        CASES.append(
            Case(
                f"{op}: {left} and {right}", function(op), operand(7, dtype=left), operand(7, dtype=right), order=order
            )
        )
        if op in ("add", "mul", "div"):
            CASES.append(
                Case(
                    f"{op}: {left} and one {right}",
                    function(op),
                    operand(7, dtype=left),
                    operand(dtype=right),
                    order=order,
                )
            )
            CASES.append(
                Case(
                    f"{op}: one {left} and {right}",
                    function(op),
                    operand(dtype=left),
                    operand(7, dtype=right),
                    order=order,
                )
            )
for op in WHOLE:
    CASES.append(Case(f"{op}: negative integers", function(op), whole(31, low=-9, high=10), DIVISORS))
for op in BITS:
    CASES.append(Case(f"{op}: integers", function(op), whole(4, 5, low=-100, high=100), whole(5, low=-100, high=100)))
    CASES.append(
        Case(
            f"{op}: bytes",
            function(op),
            whole(9, low=0, high=256, dtype="uint8"),
            whole(9, low=0, high=256, dtype="uint8"),
        )
    )
    CASES.append(Case(f"{op}: bools", function(op), truth(9), truth(9)))
    CASES.append(
        Case(f"{op}: a number", lambda lib, x, op=op: getattr(lib, op)(x, 6), whole(9, low=-50, high=50, dtype="int32"))
    )

# Python numbers on either side, with every kind of tensor.
for dtype in ("float32", "float16", "bfloat16", "int32", "int64", "uint8", "bool"):
    x = operand(5, dtype=dtype)
    CASES += [
        Case(f"+: {dtype} and 2", lambda lib, x: (x + 2, 2 + x), x, order=1),
        Case(f"+: {dtype} and 2.5", lambda lib, x: (x + 2.5, 2.5 + x), x, order=1),
        Case(f"*: {dtype} and 3", lambda lib, x: (x * 3, 3 * x), x, order=1),
        Case(f"*: {dtype} and 0.5", lambda lib, x: (x * 0.5, 0.5 * x), x, order=1),
        Case(f"*: {dtype} and True", lambda lib, x: x * True, x, order=1),
        Case(f"/: {dtype} and 4", lambda lib, x: x / 4, x, order=1),
    ]
    if dtype != "bool":
        CASES += [
            Case(f"-: {dtype} and 1", lambda lib, x: (x - 1, 9 - x), x, order=1),
            Case(f"-: {dtype} and 1.5", lambda lib, x: (x - 1.5, 9.5 - x), x, order=1),
            Case(f"/: 4 and {dtype}", lambda lib, x: (4 / x, 4.5 / x), x, order=1),
            Case(f"//: {dtype} and 2", lambda lib, x: (x // 2, 7 // x), x, order=0),
            Case(f"%: {dtype} and 3", lambda lib, x: (x % 3, 7 % x), x, order=0),
            Case(f"**: {dtype} and 2", lambda lib, x: (x**2, x**3), x, order=1),
            Case(f"**: {dtype} and 2.0", lambda lib, x: x**2.0, x, order=1),
            Case(f"**: 2 and {dtype}", lambda lib, x: 2**x, x, order=1),
            Case(f"neg: {dtype}", lambda lib, x: (-x, lib.neg(x), lib.negative(x), x.neg(), x.negative()), x, order=1),
            Case(f"positive: {dtype}", lambda lib, x: (+x, lib.positive(x)), x, order=1),
        ]

CASES += [
    Case("add: alpha", lambda lib, x, y: lib.add(x, y, alpha=2.5), real(2, 3), real(3)),
    Case("add: alpha, integers", lambda lib, x, y: lib.add(x, y, alpha=3), whole(2, 3), whole(3)),
    Case("add: alpha, a number", lambda lib, x: x.add(2, alpha=0.5), real(3)),
    Case("sub: alpha", lambda lib, x, y: lib.sub(x, y, alpha=-2), real(2, 3), real(3)),
    Case("rsub: plain", lambda lib, x, y: lib.rsub(x, y), real(2, 3), real(3)),
    Case("rsub: alpha", lambda lib, x, y: lib.rsub(x, y, alpha=3), real(2, 3), real(3)),
    Case("rsub: a number", lambda lib, x: lib.rsub(x, 2.0), real(2, 3)),
    Case(
        "div: by zero",
        lambda lib, x, y: lib.div(x, y),
        given([1, -1, 0, 2], grad=False),
        given([0, 0, 0, -0.0], grad=False),
    ),
    Case(
        "div: trunc",
        lambda lib, x, y: lib.div(x, y, rounding_mode="trunc"),
        real(11, low=-9, high=9),
        real(11, away=0.5),
    ),
    Case(
        "div: floor",
        lambda lib, x, y: lib.div(x, y, rounding_mode="floor"),
        real(11, low=-9, high=9),
        real(11, away=0.5),
    ),
    Case(
        "div: trunc, integers",
        lambda lib, x, y: lib.div(x, y, rounding_mode="trunc"),
        whole(31, low=-30, high=30),
        given([1, -2, 3, -4] * 7 + [5, -7, 9], "int64"),
    ),
    Case(
        "div: floor, integers",
        lambda lib, x, y: lib.div(x, y, rounding_mode="floor"),
        whole(31, low=-30, high=30),
        given([1, -2, 3, -4] * 7 + [5, -7, 9], "int64"),
    ),
    Case(
        "div: trunc, large integers",
        lambda lib, x: lib.div(x, 3, rounding_mode="trunc"),
        given([2**53 + 1, -(2**53) - 1, 2**60], "int64"),
    ),
    Case(
        "div: floor, mixed",
        lambda lib, x, y: lib.div(x, y, rounding_mode="floor"),
        whole(7),
        real(7, away=0.5, grad=False),
    ),
    Case(
        "floor_divide: floats",
        lambda lib, x, y: lib.floor_divide(x, y),
        real(11, low=-9, high=9),
        real(11, away=0.5),
        order=0,
    ),
    Case(
        "floor_divide: by zero",
        lambda lib, x, y: lib.floor_divide(x, y),
        given([1.0, -1.0, 0.0]),
        given([0.0, 0.0, 0.0]),
        order=0,
    ),
    Case(
        "remainder: signs",
        lambda lib, x, y: lib.remainder(x, y),
        given([5.5, -5.5, 5.5, -5.5, 0.0]),
        given([2.0, 2.0, -2.0, -2.0, 3.0]),
    ),
    Case("remainder: a number first", lambda lib, y: lib.remainder(5, y), given([2.3, -2.3, 3.1], grad=False)),
    Case(
        "fmod: signs",
        lambda lib, x, y: lib.fmod(x, y),
        given([5.5, -5.5, 5.5, -5.5, 0.0]),
        given([2.0, 2.0, -2.0, -2.0, 3.0]),
    ),
    Case("fmod: a number", lambda lib, x: lib.fmod(x, 1.5), real(9, low=-9, high=9)),
    Case(
        "fmod: by zero and inf",
        lambda lib, x, y: lib.fmod(x, y),
        given([1.0, 2.5, -2.5], grad=False),
        given([0.0, INF, -INF], grad=False),
    ),
    Case(
        "remainder: by inf",
        lambda lib, x, y: lib.remainder(x, y),
        given([1.0, 2.5, -2.5], grad=False),
        given([0.0, INF, -INF], grad=False),
    ),
    *(
        Case(f"pow: exponent {e}", lambda lib, x, e=e: (lib.pow(x, e), x**e), positive(2, 3))
        for e in (0, 1, 2, 3, 4, 0.5, -0.5, -1, -2, 1.5, 2.5, 1 / 3)
    ),
    *(
        Case(f"pow: negative base, exponent {e}", lambda lib, x, e=e: lib.pow(x, e), real(2, 3, away=0.3))
        for e in (0, 1, 2, 3, 4, 5, -1, -2, -3, 2.0, 3.0)
    ),
    *(
        Case(f"pow: base 0, exponent {e}", lambda lib, x, e=e: lib.pow(x, e), given([0.0, 1.0, -2.0]))
        for e in (0, 1, 2, 3, 4)
    ),
    Case(
        "pow: base 0 and a tensor",
        lambda lib, x, y: lib.pow(x, y),
        given([0.0, 0.0, 0.0]),
        given([1.0, 2.0, 3.0]),
        order=1,
    ),
    Case(
        "pow: negative bases and a tensor",
        lambda lib, x, y: lib.pow(x, y),
        real(6, away=0.3),
        given([0, 1, 2, 3, -1, -2], grad=False),
    ),
    Case(
        "pow: negative bases and integers",
        lambda lib, x, y: lib.pow(x, y),
        real(6, away=0.3),
        given([0, 1, 2, 3, -1, -2], "int64"),
    ),
    Case("pow: a number first", lambda lib, y: (lib.pow(2.5, y), 2**y), real(2, 3)),
    Case("pow: 0 first", lambda lib, y: lib.pow(0.0, y), positive(3), order=1),  # PyTorch's second is NaN
    Case("pow: integers", lambda lib, x, y: lib.pow(x, y), whole(9), whole(9, low=0, high=5)),
    Case(
        "pow: negative integer powers",
        lambda lib, x, y: (lib.pow(x, y), x ** y[0], 1**y, (-1) ** y),
        given([1, -1, 2, 0, -1], "int32"),
        given([-2, -3, -1, -1, 4], "int32"),
    ),
    Case(
        "pow: gradients at 0",
        lambda lib, x, y: lib.pow(x, y),
        given([0.0, 0.0, 2.0, 3.0, 0.0]),
        given([0.0, 2.0, 0.0, 1.5, 1.0]),
        order=1,
    ),
    Case(
        "atan2: gradients at 0",
        lambda lib, x, y: lib.atan2(x, y),
        given([0.0, 0.0, 1.0]),
        given([0.0, -1.0, 0.0]),
        order=1,
    ),
    Case(
        "hypot: no overflow",
        lambda lib, x, y: lib.hypot(x, y),
        given([1e20, 3e-23, INF, INF, 3.0, 0.0], grad=False),
        given([1.0, 4e-23, NAN, 1.0, -4.0, 0.0], grad=False),
    ),
    Case(
        "clamp: nan bounds",
        lambda lib, x, low: (lib.clamp(x, low), lib.clamp(x, max=low), lib.clamp(x, NAN), x.clamp(max=NAN)),
        given([1.0, 2.0, 3.0], grad=False),
        given([NAN, 2.5, 0.0], grad=False),
    ),
    *(
        Case(
            f"floor_divide: {dtype}, just below an integer",
            lambda lib, x, y: (lib.floor_divide(x, y), lib.div(x, y, rounding_mode="floor"), x // y),
            given([8.875, -8.875, 6.0, 0.0, 5.0, -0.0009765625], dtype, grad=False),
            given([0.494140625, 0.494140625, -0.125, 3.0, 0.0, 1.0], dtype, grad=False),
        )
        for dtype in ("float32", "float16")
    ),
    Case(
        "add: alpha of unsigned integers wraps",
        lambda lib, x, y: (
            lib.add(x, y, alpha=-3),
            lib.sub(x, y, alpha=-1),
            lib.rsub(x, y, alpha=-1),
            x + 300,
            x - 1,
            x * -1,
        ),
        given([5, 1, 6], "uint8"),
        given([2, 9, 4], "uint8"),
    ),
    Case("add: bools", lambda lib, x, y: (x + y, x * y, x + 1, lib.add(x, y, alpha=True)), truth(9), truth(9)),
    Case(
        "div: a 0-d integer keeps its value",
        lambda lib, x, y: (lib.div(y[0], x), y[0] / x, x / 300, x / -1),
        given([1, 2, 3], "uint8"),
        given([-2, 1], "int64"),
    ),
    Case(
        "shifts by the width and more",
        lambda lib, x, y: (x << y, x >> y, lib.bitwise_left_shift(x, 31), lib.bitwise_right_shift(x, 40)),
        given([5, -7, 1, 3], "int32"),
        given([32, 100, -1, 2], "int32"),
    ),
    Case("pow: 0 to the 0", lambda lib, x: (x**0, x**0.0), given([0.0, NAN, INF, -1.0], grad=False)),
    Case("pow: nan to the 1", lambda lib, x: (x**1, x**0.5, x**3), given([0.0, NAN, INF], grad=False)),
    Case("maximum: ties", lambda lib, x, y: lib.maximum(x, y), given([1, 2, 3, 0]), given([1, 3, 2, 0])),
    Case("minimum: ties", lambda lib, x, y: lib.minimum(x, y), given([1, 2, 3, 0]), given([1, 3, 2, 0])),
    Case(
        "maximum: nan and inf",
        lambda lib, x, y: (lib.maximum(x, y), lib.minimum(x, y)),
        given([1, NAN, 3, INF, INF, -INF], grad=False),
        given([NAN, 1, INF, 2, INF, -INF], grad=False),
    ),
    Case(
        "maximum: inf, gradient",
        lambda lib, x, y: (lib.maximum(x, y), lib.minimum(x, y)),
        given([INF, -INF, 1.0]),
        given([INF, 3.0, INF]),
    ),
    *(Case(f"{c}: both", lambda lib, x, c=c: getattr(lib, c)(x, -1, 1.25), distinct(4, 5)) for c in ("clamp", "clip")),
    Case("clamp_min", lambda lib, x, y: (lib.clamp_min(x, 0.1), x.clamp_min(y)), distinct(4, 5), real(5)),
    Case("clamp_max", lambda lib, x, y: (lib.clamp_max(x, 0.1), x.clamp_max(y)), distinct(4, 5), real(5)),
    Case("clamp: min", lambda lib, x: (x.clamp(min=0.1), x.clip(0.1)), distinct(4, 5)),
    Case("clamp: max", lambda lib, x: (x.clamp(max=0.1), lib.clamp(x, None, 0.1)), distinct(4, 5)),
    Case("clamp: bounds that cross", lambda lib, x: lib.clamp(x, 1, -1), distinct(4, 5)),
    Case("clamp: at the bounds", lambda lib, x: lib.clamp(x, -1, 1), given([-2, -1, 0, 1, 2])),
    Case("clamp: integers", lambda lib, x: (lib.clamp(x, -2, 2), lib.clamp(x, min=1)), whole(9)),
    Case("clamp: integers and a float", lambda lib, x: lib.clamp(x, -1.5, 2.5), whole(9)),
    Case("clamp: half", lambda lib, x: lib.clamp(x, -0.5, 0.5), real(9, dtype="float16")),
    Case(
        "clamp: tensors",
        lambda lib, x, a, b: lib.clamp(x, a, b),
        distinct(4, 5),
        given([-1.01, -0.7, -0.5, 0, 0.3]),
        given([[1.23], [0.61], [0.17], [-0.45]]),
    ),
    Case("clamp: nan", lambda lib, x: lib.clamp(x, -1, 1), given([NAN, INF, -INF], grad=False)),
    Case("lerp: a number", lambda lib, x, y: lib.lerp(x, y, 0.3), real(2, 3), real(2, 3)),
    Case("lerp: tensors", lambda lib, x, y, w: x.lerp(y, w), real(2, 3), real(3), real(2, 1)),
    Case("addcmul: plain", lambda lib, x, y, z: lib.addcmul(x, y, z), real(2, 3), real(3), real(2, 1)),
    Case("addcmul: value", lambda lib, x, y, z: x.addcmul(y, z, value=-1.5), real(3), real(2, 3), real(2, 3)),
    Case("addcmul: integers", lambda lib, x, y, z: lib.addcmul(x, y, z, value=2), whole(3), whole(3), whole(3)),
    Case("addcdiv: plain", lambda lib, x, y, z: lib.addcdiv(x, y, z), real(2, 3), real(3), positive(2, 1)),
    Case("addcdiv: value", lambda lib, x, y, z: x.addcdiv(y, z, value=0.5), real(3), real(2, 3), positive(2, 3)),
    Case(
        "logaddexp: large",
        lambda lib, x, y: lib.logaddexp(x, y),
        given([1000, -1000, 0, 5]),
        given([1000, 1000, -1000, 5]),
        order=1,
    ),
    Case(
        "logaddexp: inf",
        lambda lib, x, y: lib.logaddexp(x, y),
        given([INF, -INF, -INF, NAN], grad=False),
        given([1, 1, -INF, 1], grad=False),
    ),
    Case(
        "logaddexp: -inf, gradient",
        lambda lib, x, y: lib.logaddexp(x, y),
        given([-INF, 1.0]),
        given([1, -INF]),
        order=1,
    ),
    Case("hypot: 3, 4, 5", lambda lib, x, y: lib.hypot(x, y), given([3, -5, 8]), given([4, 12, -15])),
    Case("bitwise_not: integers", lambda lib, x: (lib.bitwise_not(x), ~x), whole(9)),
    Case("bitwise_not: bools", lambda lib, x: (lib.bitwise_not(x), ~x, x.bitwise_not()), truth(9)),
    Case(
        "bitwise_left_shift: integers",
        lambda lib, x, y: (lib.bitwise_left_shift(x, y), x << y, x << 2),
        whole(9, low=0),
        whole(9, low=0, high=5),
    ),
    Case(
        "bitwise_right_shift: integers",
        lambda lib, x, y: (lib.bitwise_right_shift(x, y), x >> y, x >> 1),
        whole(9, low=-90, high=90),
        whole(9, low=0, high=5),
    ),
    Case(
        "&|^: numbers on either side",
        lambda lib, x: (x & 6, 6 & x, x | 6, 6 | x, x ^ 6, 6 ^ x),
        whole(9, low=-50, high=50),
    ),
    Case("&|^: bools", lambda lib, x, y: (x & y, x | y, x ^ y, x & True, True | x), truth(9), truth(9)),
    Case("&: bool and integer", lambda lib, x, y: x & y, truth(9), whole(9)),
    Case("a tensor by itself", lambda lib, x: x * x + x / x - x, positive(2, 3)),
    Case("maximum: without gradients", lambda lib, x, y: lib.maximum(x, y), constant(5), whole(5)),
    Case("max: of two tensors", lambda lib, x, y: (lib.max(x, y), x.min(y)), distinct(2, 3), real(3)),
    Case(
        "operators in place",
        lambda lib, x, y: [z := x * 1, z.__iadd__(y), z.__imul__(2), z.__isub__(y), z.__itruediv__(4)][0],
        real(2, 3),
        real(3),
    ),
]
