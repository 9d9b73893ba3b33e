"""Views of parts, and copies of views."""

from tests.reference.case import Case, real, truth, whole

COPIES = {
    "diagonal_copy": (1,), "expand_copy": ((2, 3, 4),), "narrow_copy": (1, 1, 2), "permute_copy": ((1, 0),),
    "select_copy": (0, 1), "split_copy": (2, 1), "split_with_sizes_copy": ([1, 3], 1), "squeeze_copy": (),
    "t_copy": (), "transpose_copy": (0, 1), "unbind_copy": (1,), "unfold_copy": (1, 2, 1), "unsqueeze_copy": (1,),
    "view_copy": ((4, 3),), "alias_copy": (),
}  # fmt: skip

CASES = [
    *(Case(name, lambda lib, x, n=name, a=args: getattr(lib, n)(x, *a), real(3, 4)) for name, args in COPIES.items()),
    Case("tensor_split", lambda lib, x: (*lib.tensor_split(x, 3), *x.tensor_split((1, -1), 1)), real(5, 4)),
    Case("tensor_split: indices", lambda lib, x: lib.tensor_split(x, lib.tensor([3, 1, 9]), dim=0), real(5, 2)),
    Case("hsplit", lambda lib, x: (*lib.hsplit(x, 2), *x.hsplit([1]), *lib.hsplit(x[0], 2)), real(3, 4)),
    Case("vsplit", lambda lib, x: (*lib.vsplit(x, 2), *x.vsplit([1])), real(4, 3)),
    Case("dsplit", lambda lib, x: (*lib.dsplit(x, 2), *x.dsplit([1])), real(2, 3, 4)),
    Case(
        "split_with_sizes",
        lambda lib, x: (*lib.split_with_sizes(x, [1, 3], 1), *x.split_with_sizes((2, 1))),
        real(3, 4),
    ),
    Case("unsafe_split", lambda lib, x: (*lib.unsafe_split(x, 2), *x.unsafe_split(3, 1)), real(3, 4)),
    Case("unsafe_split_with_sizes", lambda lib, x: lib.unsafe_split_with_sizes(x, [1, 2]), real(3, 4)),
    Case("unsafe_chunk", lambda lib, x: (*lib.unsafe_chunk(x, 2), *x.unsafe_chunk(2, 1)), real(3, 4)),
    Case("ravel", lambda lib, x, y: (lib.ravel(x), x.t().ravel(), lib.ravel(y)), real(3, 4), real()),
    Case("unfold", lambda lib, x: (x.unfold(1, 3, 2), x.unfold(0, 2, 1), x.unfold(-1, 7, 1)), real(3, 7)),
    Case("unfold: a number", lambda lib, x: (x.unfold(0, 1, 1), x.unfold(0, 0, 1)), real()),
    Case("sum_to_size", lambda lib, x: (x.sum_to_size(3, 1), x.sum_to_size((4,)), x.sum_to_size(1)), real(2, 3, 4)),
    Case("sum_to_size: integers", lambda lib, x, y: (x.sum_to_size(1), y.sum_to_size(1)), whole(4), truth(5)),
]
