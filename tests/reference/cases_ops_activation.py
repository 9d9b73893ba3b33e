"""Activation functions: at kinks, for extreme inputs, in half precision."""

from tests.reference.case import Case, given, real, whole

INF, NAN = float("inf"), float("nan")
KINKS = [0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 6.0, -6.0, 0.5, -2.5]
FAR = [30.0, -30.0, 100.0, -100.0]
LIMITS = [INF, -INF, NAN]


def call(op, **arguments):
    return lambda lib, x: getattr(lib.nn.functional, op)(x, **arguments)


# The function, its options, and a range in which it is smooth enough for second derivatives.
VARIANTS = [
    ("relu", {}),
    ("relu6", {}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("leaky_relu", {"negative_slope": -0.5}),
    ("elu", {}),
    ("elu", {"alpha": 0.5}),
    ("gelu", {}),
    ("gelu", {"approximate": "none"}),
    ("gelu", {"approximate": "tanh"}),
    ("silu", {}),
    ("mish", {}),
    ("softplus", {}),
    ("softplus", {"beta": 3.0}),
    ("softplus", {"beta": 0.5, "threshold": 1.0}),
    ("logsigmoid", {}),
    ("softsign", {}),
    ("hardtanh", {}),
    ("hardtanh", {"min_val": -3.0, "max_val": 0.5}),
    ("hardsigmoid", {}),
    ("hardswish", {}),
    ("sigmoid", {}),
    ("tanh", {}),
    ("celu", {}),
    ("celu", {"alpha": 0.5}),
    ("selu", {}),
    ("hardshrink", {}),
    ("hardshrink", {"lambd": 1.0}),
    ("softshrink", {}),
    ("softshrink", {"lambd": 1.0}),
    ("tanhshrink", {}),
    ("threshold", {"threshold": 1.0, "value": -2.0}),
]
# PyTorch gives NaN where the limit exists, or its formula is 0 * inf; Lucid may give the limit.
NO_LIMIT = {"gelu", "silu", "mish", "softsign", "hardswish", "tanhshrink"}
ONCE = {"hardsigmoid"}  # PyTorch has no second derivative

CASES = []
for op, options in VARIANTS:
    title = ", ".join([op, *(f"{key} {value}" for key, value in options.items())])
    run = call(op, **options)
    order = 1 if op in ONCE else None
    order_far_out = 0 if op == "sigmoid" else 1  # in float32 1 - sigmoid(30) is 0
    CASES += [
        Case(f"{title}: smooth", run, real(3, 7, low=-8, high=8, away=0.05), order=order),
        Case(f"{title}: transposed", lambda lib, x, run=run: run(lib, x.t()), real(3, 2, away=0.05), order=order),
        Case(f"{title}: a number", run, real(away=0.05), order=order),
        Case(f"{title}: nothing", run, real(0, 3), order=order),
        Case(f"{title}: kinks", run, given(KINKS), order=1),
        Case(f"{title}: far out", run, given(FAR), order=order_far_out),
        Case(f"{title}: float16", run, real(3, 7, low=-5, high=5, away=0.1, dtype="float16")),
        Case(f"{title}: bfloat16", run, real(3, 7, low=-5, high=5, away=0.1, dtype="bfloat16")),
    ]
    if op not in NO_LIMIT:
        CASES.append(Case(f"{title}: inf and nan", run, given(LIMITS, grad=False)))
CASES += [Case(f"{op}: inf and nan", call(op), given([INF, NAN], grad=False)) for op in ("gelu", "silu", "mish")] + [
    Case("relu: gradient of inf and nan", call("relu"), given(LIMITS), order=1),
    Case("relu6: gradient of inf and nan", call("relu6"), given(LIMITS), order=1),
    Case("relu: integers", call("relu"), whole(7)),
    Case("relu: method", lambda lib, x: (x.relu(), lib.relu(x)), real(7, away=0.1)),
    Case("softplus: at its threshold", call("softplus"), given([19.5, 20.0, 20.5]), order=1),
    Case("hardtanh: at its bounds", call("hardtanh", min_val=-2.0, max_val=2.0), given([-2.0, 2.0, 1.0]), order=1),
]

for dim in (0, 1, -1):
    CASES.append(Case(f"glu: dim {dim}", call("glu", dim=dim), real(4, 2, 6)))
CASES += [
    Case("glu: default", call("glu"), real(3, 4)),
    Case("glu: half", call("glu"), real(3, 4, dtype="float16")),
    Case("glu: far out", call("glu"), given([[5.0, 1.0, 100.0, -100.0]]), order=1),
    Case("glu: nothing", call("glu"), real(0, 4)),
]

for op in ("softmax", "log_softmax", "softmin"):
    for dim in (0, 1, -1):
        CASES.append(Case(f"{op}: dim {dim}", call(op, dim=dim), real(3, 5, 7)))
    CASES += [
        Case(f"{op}: of one", call(op, dim=1), real(3, 1)),
        Case(f"{op}: of none", call(op, dim=1), real(3, 0)),
        Case(f"{op}: nothing left", call(op, dim=1), real(0, 3)),
        Case(f"{op}: a number", call(op, dim=0), real()),
        Case(f"{op}: large", call(op, dim=-1), given([[1000.0, 999.0, -1000.0], [88.0, 89.0, -104.0]])),
        Case(f"{op}: far apart", call(op, dim=-1), given([[0.0, 200.0, 0.0], [-200.0, 0.0, 1.0]]), order=1),
        Case(f"{op}: float16", call(op, dim=-1), real(3, 7, low=-5, high=5, dtype="float16")),
        Case(f"{op}: bfloat16", call(op, dim=-1), real(3, 7, low=-5, high=5, dtype="bfloat16")),
        Case(f"{op}: a long row of half", call(op, dim=-1), real(1, 4099, dtype="float16"), order=0),
        Case(f"{op}: dtype", lambda lib, x, op=op: call(op, dim=-1, dtype=lib.float32)(lib, x), whole(3, 4), order=0),
        Case(f"{op}: nan", call(op, dim=-1), given([[NAN, 1.0], [1.0, 2.0]], grad=False)),
    ]
masked = [[-INF, 1.0, 2.0], [-INF, -INF, 0.5]]
CASES += [
    Case("softmax: -inf", call("softmax", dim=-1), given(masked)),
    Case("log_softmax: -inf", call("log_softmax", dim=-1), given(masked, grad=False)),
    Case("softmax: all -inf", call("softmax", dim=-1), given([[-INF, -INF]], grad=False)),
    Case("log_softmax: all -inf", call("log_softmax", dim=-1), given([[-INF, -INF]], grad=False)),
    Case("softmin: inf", call("softmin", dim=-1), given([[INF, 1.0, 2.0]])),
    Case(
        "softmax: function and method",
        lambda lib, x: (lib.softmax(x, dim=1), x.softmax(1), x.softmax(dim=-1), x.log_softmax(dim=0)),
        real(3, 5),
    ),
    Case("hardtanh: equal bounds", lambda lib, x: lib.nn.functional.hardtanh(x, 0.0, 0.0), real(7)),
    Case("softsign: integers", lambda lib, x: lib.nn.functional.softsign(x), whole(7)),
    Case("gelu: the tail is 0", lambda lib, x: lib.nn.functional.gelu(x), given([-100.0, -30.0, 30.0, 100.0])),
]


def written(op, *arguments):
    """``op``, which writes its result to its first argument, and that argument."""

    def run(lib, x):
        copy = x.clone()
        result = getattr(lib.nn.functional, op)(copy, *arguments)
        return result, copy

    return run


CASES += [
    *(
        Case(f"{op}", written(op, *arguments), real(3, 7, away=0.1))
        for op, arguments in (
            ("celu_", ()), ("elu_", (0.5,)), ("hardtanh_", (-0.5, 0.7)), ("leaky_relu_", (0.2,)), ("relu_", ()),
            ("selu_", ()), ("threshold_", (0.05, -1.0)), ("rrelu_", (0.1, 0.4)),
        )
    ),
    Case("rrelu: evaluation", call("rrelu", lower=0.1, upper=0.4), real(3, 7, away=0.1)),
    Case("threshold: integers", call("threshold", threshold=2, value=-1), whole(7)),
    *(
        Case(f"prelu: {title}", lambda lib, x, w: lib.nn.functional.prelu(x, w), real(*shape, away=0.1), real(*slopes))
        for title, shape, slopes in (
            ("one slope", (3, 4), (1,)), ("a slope per channel", (2, 3, 4), (3,)), ("of a vector", (5,), (1,)),
            ("a number", (), (1,)), ("nothing", (0, 3), (3,)),
        )
    ),
    Case(
        "prelu: function and method",
        lambda lib, x, w: (lib.prelu(x, w), x.prelu(w), lib.selu(x), lib.celu(x), lib.hardshrink(x), x.hardshrink()),
        real(2, 3, away=0.1), real(3),
    ),
]  # fmt: skip
