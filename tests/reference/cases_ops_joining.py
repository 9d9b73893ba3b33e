"""Joining, repeating and splitting."""

from tests.reference.case import Case, given, real, truth, whole


def call(op, *arguments, **named):
    """The function and the method with these arguments."""
    return lambda lib, x: (getattr(lib, op)(x, *arguments, **named), getattr(x, op)(*arguments, **named))


def method(op, *arguments, **named):
    return lambda lib, x: getattr(x, op)(*arguments, **named)


X = real(2, 3, 4)
CASES = [
    Case("repeat: one by one", method("repeat", 2, 3), real(2, 3)),
    Case("repeat: more dims", method("repeat", 2, 1, 3), real(2, 3)),
    Case("repeat: a tuple", method("repeat", (3,)), real(4)),
    Case("repeat: zero times", method("repeat", 0, 2), real(2, 3)),
    Case("repeat: a number", method("repeat", 3), real()),
    Case("tile: fewer counts", call("tile", (2,)), real(2, 3)),
    Case("tile: more counts", call("tile", (2, 1, 3)), real(2, 3)),
    Case("tile: one by one", method("tile", 2, 3), real(2, 3)),
    Case("repeat_interleave: flat", call("repeat_interleave", 3), real(2, 3)),
    Case("repeat_interleave: dim", call("repeat_interleave", 2, dim=1), real(2, 3)),
    Case(
        "repeat_interleave: counts",
        lambda lib, x, n: (lib.repeat_interleave(x, n, dim=0), x.repeat_interleave(n, 0)),
        real(3, 2),
        given([2, 0, 3], "int64"),
    ),
    Case("repeat_interleave: zero", call("repeat_interleave", 0, dim=0), real(2, 3)),
    Case("cat: two", lambda lib, x, y: lib.cat([x, y]), real(2, 3), real(1, 3)),
    Case("cat: dim -1", lambda lib, x, y, z: lib.cat((x, y, z), dim=-1), real(2, 3), real(2, 1), real(2, 0)),
    Case("cat: one", lambda lib, x: lib.cat([x]), real(2, 3)),
    Case("cat: itself", lambda lib, x: lib.cat([x, x * 2, x], 1), real(2, 3)),
    Case("cat: dtypes", lambda lib, x, y: lib.cat([x, y]), real(2), whole(2)),
    Case("cat: half and float", lambda lib, x, y: lib.cat([x, y]), real(2, dtype="float16"), real(2)),
    Case(
        "cat: integers",
        lambda lib, x, y, z: (lib.cat([x, y]), lib.cat([x, z])),
        whole(2, dtype="int32"),
        whole(2),
        truth(2),
    ),
    Case("cat: an empty vector", lambda lib, x, y: lib.cat([x, y]), real(0), real(2, 3)),
    *(
        Case(f"{op}: as cat", lambda lib, x, y, op=op: getattr(lib, op)([x, y], 1), real(2, 3), real(2, 1))
        for op in ("concat", "concatenate")
    ),
    Case("cat: axis", lambda lib, x, y: lib.concatenate((x, y), axis=1), real(2, 3), real(2, 1)),
    Case("stack: two", lambda lib, x, y: lib.stack([x, y]), real(2, 3), real(2, 3)),
    Case("stack: dim 1", lambda lib, x, y: lib.stack((x, y), dim=1), real(2, 3), real(2, 3)),
    Case("stack: dim -1", lambda lib, x, y: lib.stack((x, y), -1), real(2, 3), real(2, 3)),
    Case("stack: numbers", lambda lib, x, y: lib.stack([x, y]), real(), real()),
    Case("stack: dtypes", lambda lib, x, y: lib.stack([x, y]), real(2), whole(2)),
    Case("hstack: matrices", lambda lib, x, y: lib.hstack([x, y]), real(2, 3), real(2, 1)),
    Case("hstack: vectors", lambda lib, x, y: lib.hstack((x, y)), real(2), real(3)),
    Case("hstack: numbers", lambda lib, x, y: lib.hstack((x, y)), real(), real()),
    Case("vstack: matrices", lambda lib, x, y: lib.vstack([x, y]), real(2, 3), real(1, 3)),
    Case("vstack: vectors", lambda lib, x, y: lib.vstack([x, y]), real(3), real(2, 3)),
    Case("vstack: numbers", lambda lib, x, y: lib.vstack([x, y]), real(), real()),
    Case("split: equal", call("split", 2), real(6, 2)),
    Case("split: a rest", call("split", 4), real(7, 2)),
    Case("split: larger than the whole", call("split", 9), real(7, 2)),
    Case("split: sizes", call("split", [1, 4, 2]), real(7, 2)),
    Case("split: sizes with 0, dim 1", call("split", [0, 2, 1], dim=1), real(2, 3)),
    Case("split: nothing", call("split", 2), real(0, 2)),
    Case("split: dim -1", call("split", 2, dim=-1), X),
    Case("chunk: equal", call("chunk", 3), real(6, 2)),
    Case("chunk: a rest", call("chunk", 3, dim=1), real(2, 7)),
    Case("chunk: more than there is", call("chunk", 5), real(3, 2)),
    Case("chunk: one", call("chunk", 1), real(3, 2)),
    Case("unbind: first", call("unbind"), real(3, 2)),
    Case("unbind: last", call("unbind", -1), real(3, 2)),
    Case("unbind: one", call("unbind", 0), real(1, 2)),
    Case("iteration", lambda lib, x: [row * 2 for row in x], real(3, 2)),
    Case("repeat_interleave: counts only", lambda lib, x: lib.repeat_interleave(x), given([2, 0, 3], "int64")),
    Case(
        "repeat_interleave: output_size",
        lambda lib, x, n: (lib.repeat_interleave(x, 2, 0, output_size=4), x.repeat_interleave(n, dim=0, output_size=3)),
        real(2, 3),
        given([1, 2], "int64"),
    ),
]
