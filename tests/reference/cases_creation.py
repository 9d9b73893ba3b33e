"""Functions that create tensors."""

from tests.reference.case import Case, constant, given, truth, whole

INF, NAN = float("inf"), float("nan")
CASES = [
    Case(
        "zeros, ones: sizes",
        lambda lib: (lib.zeros(2, 3), lib.ones((2, 3)), lib.zeros([4]), lib.ones(()), lib.zeros(0, 2)),
    ),
    Case(
        "zeros, ones: dtypes",
        lambda lib: (lib.zeros(2, dtype=lib.int64), lib.ones(2, dtype=lib.float16), lib.ones(2, dtype=lib.bool)),
    ),
    Case("zeros: the default dtype", lambda lib: lib.zeros(2), recorded=lambda lib: lib.zeros(2, dtype=lib.float32)),
    Case(
        "full: kinds of values",
        lambda lib: (lib.full((2, 3), 7), lib.full((2,), 2.5), lib.full((), True), lib.full((0, 2), 1.0)),
    ),
    Case(
        "full: dtypes",
        lambda lib: (
            lib.full((2,), 7, dtype=lib.float16),
            lib.full((2,), 2.9, dtype=lib.int32),
            lib.full([2], 1, dtype=lib.bool),
        ),
    ),
    Case("full: special values", lambda lib: (lib.full((2,), INF), lib.full((2,), NAN))),
    Case(
        "like: of floats", lambda lib, x: (lib.zeros_like(x), lib.ones_like(x), lib.full_like(x, 2.5)), constant(2, 3)
    ),
    Case(
        "like: of half",
        lambda lib, x: (lib.zeros_like(x), lib.ones_like(x), lib.full_like(x, 2.5)),
        constant(2, 3, dtype="float16"),
    ),
    Case(
        "like: of integers",
        lambda lib, x: (lib.zeros_like(x), lib.ones_like(x), lib.full_like(x, 2)),
        whole(2, 3, dtype="int32"),
    ),
    Case("like: of bools", lambda lib, x: (lib.zeros_like(x), lib.ones_like(x), lib.full_like(x, True)), truth(2, 3)),
    Case(
        "like: other dtypes",
        lambda lib, x: (lib.zeros_like(x, dtype=lib.int64), lib.ones_like(x, dtype=lib.float16)),
        constant(2, 0),
    ),
    Case(
        "new: of integers",
        lambda lib, x: (x.new_zeros(2, 3), x.new_ones((2,)), x.new_full((2,), 7), x.new_tensor([1, 2])),
        whole(3),
    ),
    Case(
        "new: of half",
        lambda lib, x: (x.new_zeros(2), x.new_ones(2, dtype=lib.float32), x.new_full((), 0.5)),
        constant(3, dtype="float16"),
    ),
    *(Case(f"eye: {n}", lambda lib, n=n: lib.eye(*n)) for n in ((3,), (2, 4), (4, 2), (0,), (3, 0))),
    Case("eye: dtype", lambda lib: lib.eye(2, dtype=lib.int64)),
    *(
        Case(f"arange: {a}", lambda lib, a=a: lib.arange(*a))
        for a in (
            (5,),
            (0,),
            (2, 7),
            (7, 2, -2),
            (2, 7, 3),
            (5.0,),
            (0.5, 3),
            (1, 2, 0.25),
            (0, 1, 0.1),
            (3, 0, -0.5),
            (3, 3),
            (-2, 2),
            (1.0, 4.0, 1.0),
        )
    ),
    Case(
        "arange: dtypes",
        lambda lib: (
            lib.arange(3, dtype=lib.float32),
            lib.arange(0.5, 3, dtype=lib.float16),
            lib.arange(1.9, 5, dtype=lib.int64),
        ),
    ),
    Case("arange: many", lambda lib: lib.arange(0, 1, 1e-3)),
    Case("arange: large", lambda lib: lib.arange(2**53, 2**53 + 4)),
    *(
        Case(f"linspace: {a}", lambda lib, a=a: lib.linspace(*a))
        for a in ((0, 1, 5), (3, -3, 7), (2, 5, 1), (0, 1, 0), (2, 2, 3), (0, 1, 101))
    ),
    Case("linspace: dtype", lambda lib: lib.linspace(0, 1, 5, dtype=lib.float16), rtol=1e-3),
    *(
        Case(f"logspace: {a}", lambda lib, a=a: lib.logspace(*a))
        for a in ((0, 3, 4), (-2, 2, 5), (0, 3, 4, 2.0), (1, 1, 1), (0, 1, 0))
    ),
    Case(
        "tensor: numbers",
        lambda lib: (lib.tensor(2), lib.tensor(2.5), lib.tensor(True), lib.tensor([1, 2]), lib.tensor([[1.5], [2]])),
    ),
    Case(
        "tensor: dtypes",
        lambda lib: (
            lib.tensor([1, 2], dtype=lib.float16),
            lib.tensor([1.9, -1.9], dtype=lib.int32),
            lib.tensor([0.0, 0.5], dtype=lib.bool),
        ),
    ),
    Case("tensor: nothing", lambda lib: (lib.tensor([]), lib.tensor([[], []]))),
    Case("tensor: mixed", lambda lib: (lib.tensor([1, 2.5]), lib.tensor([True, 2]), lib.tensor([True, False]))),
    Case(
        "tensor: of tensors", lambda lib, x: (lib.tensor([x[0], x[1]]), lib.as_tensor(x)), given([1.0, 2.0], grad=False)
    ),
    Case(
        "as_tensor: kinds",
        lambda lib, x: (lib.as_tensor([1, 2]), lib.as_tensor(2.5), lib.as_tensor(x, dtype=lib.int64)),
        given([1.5, -2.5], grad=False),
    ),
]
