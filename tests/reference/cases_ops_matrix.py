"""Matrix and vector products."""

from tests.reference.case import Case, given, real, truth, whole

NAN = float("nan")
MATMUL = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 5)),
    ((4, 2, 3), (3, 5)),
    ((2, 3), (4, 3, 5)),
    ((4, 2, 3), (4, 3, 5)),
    ((4, 1, 2, 3), (6, 3, 5)),
    ((1, 2, 3), (4, 3, 1)),
    ((4, 2, 3), (3,)),
    ((3,), (4, 3, 2)),
    ((1, 1), (1, 1)),
    ((2, 0), (0, 3)),
    ((0, 3), (3, 2)),
    ((2, 3), (3, 0)),
    ((0, 2, 3), (3, 4)),
    ((7, 13), (13, 11)),
]
EINSUM = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ba,cb", (3, 2), (4, 3)),
    ("ij->ji", (2, 3)),
    ("ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->i", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("iij->j", (3, 3, 2)),
    ("iji->ij", (3, 2, 3)),
    ("iii->i", (2, 2, 2)),
    ("i,j->ij", (2,), (3,)),
    ("i,i->", (3,), (3,)),
    ("i,i", (3,), (3,)),
    ("i,i->i", (3,), (3,)),
    ("bij,bjk->bik", (4, 2, 3), (4, 3, 5)),
    ("bij,bjk->bki", (4, 2, 3), (4, 3, 5)),
    ("bij,bik->bjk", (4, 2, 3), (4, 2, 5)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("...ij,...jk->...ik", (4, 2, 3), (4, 3, 5)),
    ("...ij,jk->...ik", (4, 5, 2, 3), (3, 2)),
    ("...i,i->...", (4, 2, 3), (3,)),
    ("...,...->...", (2, 3), (3,)),
    ("...ij->...ji", (4, 2, 3)),
    ("...ij->...", (4, 2, 3)),
    ("...", (2, 3)),
    ("...ij->ij", (4, 2, 3)),
    ("...i,...i->i", (2, 3), (2, 3)),
    ("i...->...i", (2, 3, 4)),
    ("...i,...i", (2, 3), (2, 3)),
    ("i...j,j->i...", (2, 3, 4), (4,)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("i,j,k->ijk", (2,), (3,), (4,)),
    ("ij,ij,ij->j", (2, 3), (2, 3), (2, 3)),
    ("ijk,k,j->i", (2, 3, 4), (4,), (3,)),
    ("ij,kl->", (2, 3), (4, 5)),
    ("ij,kl->ik", (2, 3), (4, 5)),
    (",ij->ij", (), (2, 3)),
    (",->", (), ()),
    ("ij,jk->ik", (2, 0), (0, 3)),
    ("ij,jk->ik", (0, 2), (2, 3)),
    ("ij,jk->ik", (1, 1), (1, 1)),
    ("ij,j->i", (2, 3), (3,)),
    ("aB,BA->aA", (2, 3), (3, 4)),
    (" i j , j k -> i k ", (2, 3), (3, 4)),
    ("ii,i->i", (3, 3), (3,)),
    ("ij,ji->", (2, 3), (3, 2)),
    ("nchw,oc->nohw", (2, 3, 2, 2), (4, 3)),
]

CASES = []
for left, right in MATMUL:
    CASES.append(
        Case(
            f"matmul: {left} and {right}",
            lambda lib, x, y: (lib.matmul(x, y), x @ y, x.matmul(y)),
            real(*left),
            real(*right),
        )
    )
for equation, *shapes in EINSUM:
    CASES.append(
        Case(
            f"einsum: {equation} {shapes}",
            lambda lib, *tensors, e=equation: lib.einsum(e, *tensors),
            *(real(*shape) for shape in shapes),
        )
    )
for dtype in ("int64", "int32", "int8", "uint8"):
    low = 0 if dtype == "uint8" else -9
    CASES.append(
        Case(
            f"matmul: {dtype}",
            lambda lib, x, y: x @ y,
            whole(3, 4, low=low, high=10, dtype=dtype),
            whole(4, 2, low=low, high=10, dtype=dtype),
        )
    )
for dtype in ("float16", "bfloat16"):
    CASES += [
        Case(f"matmul: {dtype}", lambda lib, x, y: x @ y, real(3, 4, dtype=dtype), real(4, 2, dtype=dtype)),
        Case(
            f"einsum: {dtype}",
            lambda lib, x, y: lib.einsum("ij,jk->ki", x, y),
            real(3, 4, dtype=dtype),
            real(4, 2, dtype=dtype),
        ),
    ]
CASES += [
    Case("matmul: transposed", lambda lib, x, y: x.t() @ y.t(), real(3, 2), real(5, 3)),
    Case("matmul: by itself", lambda lib, x: x @ x.mT @ x, real(2, 3)),
    Case(
        "matmul: large integers wrap",
        lambda lib, x, y: x @ y,
        given([[2**40, 2**33 + 1, -3]], "int64"),
        given([[2**30], [2**31 - 1], [2**62]], "int64"),
    ),
    Case(
        "matmul: int32 wraps",
        lambda lib, x, y: x @ y,
        given([[2**20, -(2**30)]], "int32"),
        given([[2**13], [5]], "int32"),
    ),
    Case("einsum: integers", lambda lib, x, y: lib.einsum("ij,jk->ik", x, y), whole(3, 4), whole(4, 2)),
    Case("einsum: a list of operands", lambda lib, x, y: lib.einsum("ij,jk->ik", [x, y]), real(2, 3), real(3, 4)),
    Case(
        "einsum: size 1 broadcasts",
        lambda lib, x, y: (lib.einsum("ij,jk->ik", x, y), lib.einsum("ij,jk->ijk", x, y)),
        real(2, 1),
        real(3, 4),
    ),
    Case(
        "einsum: size 1 on the right", lambda lib, x, y: lib.einsum("bij,bjk->bik", x, y), real(4, 2, 3), real(1, 1, 5)
    ),
    Case("einsum: size 1 and kept", lambda lib, x, y: lib.einsum("ij,ij->ij", x, y), real(1, 3), real(2, 1)),
    Case(
        "einsum: '...' of different lengths",
        lambda lib, x, y: lib.einsum("...ij,...jk->...ik", x, y),
        real(5, 4, 2, 3),
        real(4, 3, 2),
    ),
    Case(
        "einsum: '...' broadcasts",
        lambda lib, x, y: lib.einsum("...ij,...jk->...ik", x, y),
        real(1, 4, 2, 3),
        real(5, 1, 3, 2),
    ),
    Case("einsum: a sum over one operand alone", lambda lib, x, y: lib.einsum("ij,k->i", x, y), real(2, 3), real(4)),
    Case("mm: matrices", lambda lib, x, y: (lib.mm(x, y), x.mm(y)), real(2, 3), real(3, 4)),
    Case("bmm: batches", lambda lib, x, y: (lib.bmm(x, y), x.bmm(y)), real(4, 2, 3), real(4, 3, 5)),
    Case("bmm: nothing", lambda lib, x, y: lib.bmm(x, y), real(0, 2, 3), real(0, 3, 5)),
    Case("mv: a matrix and a vector", lambda lib, x, y: (lib.mv(x, y), x.mv(y)), real(2, 3), real(3)),
    Case("dot: vectors", lambda lib, x, y: (lib.dot(x, y), x.dot(y)), real(5), real(5)),
    Case("dot: nothing", lambda lib, x, y: lib.dot(x, y), real(0), real(0)),
    Case("dot: integers", lambda lib, x, y: lib.dot(x, y), whole(5), whole(5)),
    Case("inner: vectors", lambda lib, x, y: (lib.inner(x, y), x.inner(y)), real(5), real(5)),
    Case("inner: matrices", lambda lib, x, y: lib.inner(x, y), real(2, 3), real(4, 3)),
    Case("inner: more dims", lambda lib, x, y: lib.inner(x, y), real(2, 5, 3), real(4, 3)),
    Case("inner: a number", lambda lib, x, y: (lib.inner(x, y), lib.inner(y, x)), real(2, 3), real()),
    Case("outer: vectors", lambda lib, x, y: (lib.outer(x, y), x.outer(y)), real(2), real(3)),
    Case("outer: integers and floats", lambda lib, x, y: lib.outer(x, y), whole(2), real(3)),
    Case("outer: nothing", lambda lib, x, y: lib.outer(x, y), real(0), real(3)),
    Case("addmm: plain", lambda lib, x, a, b: (lib.addmm(x, a, b), x.addmm(a, b)), real(2, 4), real(2, 3), real(3, 4)),
    Case(
        "addmm: beta and alpha",
        lambda lib, x, a, b: lib.addmm(x, a, b, beta=0.5, alpha=-2),
        real(4),
        real(2, 3),
        real(3, 4),
    ),
    Case(
        "addmm: beta 0 hides nan",
        lambda lib, x, a, b: lib.addmm(x, a, b, beta=0),
        given([NAN, 1.0, 2.0, NAN], grad=False),
        real(2, 3),
        real(3, 4),
    ),
    Case(
        "addmm: integers",
        lambda lib, x, a, b: lib.addmm(x, a, b, beta=2, alpha=3),
        whole(2, 4),
        whole(2, 3),
        whole(3, 4),
    ),
    Case("addmv: plain", lambda lib, x, a, b: (lib.addmv(x, a, b), x.addmv(a, b)), real(2), real(2, 3), real(3)),
    Case(
        "addmv: beta and alpha",
        lambda lib, x, a, b: lib.addmv(x, a, b, beta=0.5, alpha=-2),
        real(1),
        real(2, 3),
        real(3),
    ),
    Case(
        "baddbmm: plain",
        lambda lib, x, a, b: (lib.baddbmm(x, a, b), x.baddbmm(a, b)),
        real(4, 2, 5),
        real(4, 2, 3),
        real(4, 3, 5),
    ),
    Case(
        "baddbmm: beta and alpha",
        lambda lib, x, a, b: lib.baddbmm(x, a, b, beta=0.5, alpha=-2),
        real(2, 1),
        real(4, 2, 3),
        real(4, 3, 5),
    ),
    Case("tensordot: two dims", lambda lib, x, y: lib.tensordot(x, y), real(2, 3, 4), real(3, 4, 5)),
    Case("tensordot: one dim", lambda lib, x, y: lib.tensordot(x, y, dims=1), real(2, 3), real(3, 4)),
    Case("tensordot: no dims", lambda lib, x, y: lib.tensordot(x, y, dims=0), real(2, 3), real(4)),
    Case(
        "tensordot: lists", lambda lib, x, y: lib.tensordot(x, y, dims=([0, 2], [1, 0])), real(2, 3, 4), real(4, 2, 5)
    ),
    Case("tensordot: all", lambda lib, x, y: lib.tensordot(x, y, ([0, 1], [0, 1])), real(2, 3), real(2, 3)),
    Case("bool products", lambda lib, x, y: x.float() @ y.float(), truth(2, 3), truth(3, 2)),
    Case(
        "addmm: factors of integers are truncated",
        lambda lib, x, a, b: (
            lib.addmm(x, a, b, beta=0.6, alpha=1.7),
            lib.addmv(x[0], a, b[:, 0], beta=2.9, alpha=-1.2),
            lib.baddbmm(x[None], a[None], b[None], beta=-0.9, alpha=2.0),
        ),
        whole(3, 3),
        whole(3, 3),
        whole(3, 3),
    ),
    *(
        Case(
            f"einsum: sums of {dtype}",
            lambda lib, x: (lib.einsum("ij->i", x), lib.einsum("ij,jk->ik", x, x), lib.einsum("ij,ij->", x, x)),
            whole(3, 3, low=0, high=9, dtype=dtype),
        )
        for dtype in ("int32", "uint8", "int64")
    ),
    Case(
        "tensordot: a size of 1 broadcasts",
        lambda lib, x, y: (lib.tensordot(x, y, ([0, 1], [2, 0])), lib.tensordot(y, x, dims=([0], [1]))),
        real(1, 1, 3),
        real(2, 1, 2),
    ),
    Case(
        "linear: integers",
        lambda lib, x, w, b: (lib.nn.functional.linear(x, w), lib.nn.functional.linear(x, w, b)),
        whole(2, 3, dtype="int32"),
        whole(4, 3, dtype="int32"),
        whole(4, dtype="int32"),
    ),
    Case(
        "addbmm",
        lambda lib, x, a, b: (lib.addbmm(x, a, b), x.addbmm(a, b, beta=0.5, alpha=2)),
        real(2, 4),
        real(3, 2, 5),
        real(3, 5, 4),
    ),
    Case(
        "addr", lambda lib, x, a, b: (lib.addr(x, a, b), x.addr(a, b, beta=0.5, alpha=2)), real(2, 3), real(2), real(3)
    ),
    Case("addr: bools", lambda lib, x, a, b: lib.addr(x, a, b, beta=True, alpha=True), truth(2, 3), truth(2), truth(3)),
]
