"""Changing shapes and rearranging values."""

from tests.reference.case import Case, given, real, truth, whole


def call(op, *arguments, **named):
    """The function and the method with these arguments."""
    return lambda lib, x: (getattr(lib, op)(x, *arguments, **named), getattr(x, op)(*arguments, **named))


def method(op, *arguments, **named):
    return lambda lib, x: getattr(x, op)(*arguments, **named)


X = real(2, 3, 4)
CASES = [
    Case("reshape: a tuple", call("reshape", (4, 6)), X),
    Case("reshape: sizes one by one", method("reshape", 6, -1), X),
    Case("reshape: -1 alone", call("reshape", (-1,)), X),
    Case("reshape: to a number", call("reshape", ()), real(1)),
    Case("reshape: of a number", call("reshape", (1, 1)), real()),
    Case("reshape: nothing", call("reshape", (3, 0, 2)), real(0, 4)),
    Case("reshape: nothing, -1", call("reshape", (2, -1)), real(0, 4)),
    Case("reshape: transposed", lambda lib, x: lib.reshape(x.transpose(0, 2), (6, 4)), X),
    Case("reshape: integers", call("reshape", (4, 6)), whole(2, 3, 4)),
    Case("view: sizes", lambda lib, x: (x.view(4, 6), x.view((-1, 2)), x.view(-1)), X),
    Case(
        "view: bits of float32",
        lambda lib, x: x.view(lib.int32),
        given([1.0, -2.5], grad=False),
        recorded=lambda lib, x: x.float().view(lib.int32),
    ),
    Case("view_as: another", lambda lib, x, y: (x.view_as(y), x.reshape_as(y)), X, real(8, 3, grad=False)),
    Case("flatten: all", call("flatten"), X),
    Case("flatten: from 1", call("flatten", 1), X),
    Case("flatten: to 1", call("flatten", 0, 1), X),
    Case("flatten: negative", call("flatten", start_dim=-2, end_dim=-1), X),
    Case("flatten: one dim", call("flatten", 1, 1), X),
    Case("flatten: a number", call("flatten"), real()),
    Case("flatten: nothing", call("flatten", 1), real(2, 0, 3)),
    Case("unflatten: two", call("unflatten", 2, (2, 2)), X),
    Case("unflatten: -1", call("unflatten", -1, (-1, 2)), X),
    Case("unflatten: first", call("unflatten", 0, (1, 2, 1)), X),
    Case("permute: a tuple", call("permute", (2, 0, 1)), X),
    Case("permute: one by one", method("permute", 1, -1, 0), X),
    Case("permute: a number", call("permute", ()), real()),
    Case("transpose: first and last", call("transpose", 0, 2), X),
    Case("transpose: negative", call("transpose", -1, -2), X),
    Case("transpose: itself", call("transpose", 1, 1), X),
    *(Case(f"{op}: as transpose", call(op, 0, -1), X) for op in ("swapaxes", "swapdims")),
    *(Case(f"{op}: one", call(op, 0, 2), X) for op in ("movedim", "moveaxis")),
    Case("movedim: several", call("movedim", (0, 2), (1, 0)), X),
    Case("movedim: negative", call("movedim", -1, 0), X),
    Case("t: a matrix", lambda lib, x: (lib.t(x), x.t(), x.T, x.mT), real(2, 3)),
    Case("t: a vector", call("t"), real(3)),
    Case("t: a number", call("t"), real()),
    Case("mT: a batch", lambda lib, x: x.mT * 2, X),
    Case("squeeze: all", call("squeeze"), real(1, 3, 1, 2)),
    Case("squeeze: one", call("squeeze", 0), real(1, 3, 1, 2)),
    Case("squeeze: negative", call("squeeze", -2), real(1, 3, 1, 2)),
    Case("squeeze: a dim that is not 1", call("squeeze", 1), real(1, 3, 1, 2)),
    Case("squeeze: several", call("squeeze", (0, 2)), real(1, 3, 1, 2)),
    Case("squeeze: a number", call("squeeze"), real()),
    Case("squeeze: a number, dim 0", call("squeeze", 0), real()),
    Case("unsqueeze: front", call("unsqueeze", 0), X),
    Case("unsqueeze: back", call("unsqueeze", -1), X),
    Case("unsqueeze: middle", call("unsqueeze", -2), X),
    Case("unsqueeze: a number", call("unsqueeze", 0), real()),
    Case("expand: one by one", method("expand", 5, 3, 4), real(1, 3, 1)),
    Case("expand: a tuple with -1", method("expand", (2, -1, 4)), real(1, 3, 1)),
    Case("expand: new dims", method("expand", 2, 5, 3), real(3)),
    Case("expand: a number", method("expand", 2, 3), real()),
    Case("expand: to nothing", method("expand", 0, 3), real(1, 3)),
    Case("expand_as: another", lambda lib, x, y: x.expand_as(y), real(3, 1), real(2, 3, 4, grad=False)),
    Case("broadcast_to: a shape", call("broadcast_to", (2, 3, 4)), real(3, 1)),
    Case("broadcast_tensors: three", lambda lib, x, y, z: lib.broadcast_tensors(x, y, z), real(3, 1), real(4), real()),
    Case("flip: one", call("flip", (0,)), X),
    Case("flip: two", call("flip", (0, -1)), X),
    Case("flip: one by one", method("flip", 1, 2), X),
    Case("flip: nothing", call("flip", (1,)), real(2, 0)),
    Case("fliplr: columns", call("fliplr"), real(2, 3)),
    Case("flipud: rows", call("flipud"), real(2, 3)),
    *(Case(f"rot90: {k}", call("rot90", k), real(2, 3)) for k in (0, 1, 2, 3, 4, -1)),
    Case("rot90: other dims", call("rot90", 1, (1, 2)), X),
    Case("rot90: dims turned round", call("rot90", 1, (2, 0)), X),
    Case("roll: flat", call("roll", 4), X),
    Case("roll: one", call("roll", 1, 0), X),
    Case("roll: negative", call("roll", -5, -1), X),
    Case("roll: two", call("roll", (1, -1), (0, 2)), X),
    Case("roll: one dim twice", call("roll", (1, 2), (2, 2)), X),
    Case("roll: nothing", call("roll", 1, 1), real(2, 0)),
    Case("tril: plain", call("tril"), real(4, 3)),
    *(
        Case(f"tril, triu: {k}", lambda lib, x, k=k: (lib.tril(x, k), x.triu(diagonal=k)), real(2, 3, 4))
        for k in (-4, -1, 0, 1, 4)
    ),
    Case("triu: integers and bools", lambda lib, x, y: (lib.triu(x), lib.tril(y)), whole(3, 3), truth(3, 3)),
    *(Case(f"diag: of a vector, {k}", call("diag", k), real(3)) for k in (-2, 0, 1)),
    *(Case(f"diag: of a matrix, {k}", call("diag", k), real(3, 4)) for k in (-2, 0, 1, 3)),
    Case("diag: nothing", lambda lib, x: (lib.diag(x), lib.diag(x, 2)), real(0)),
    *(Case(f"diag_embed: {k}", call("diag_embed", k), real(2, 3)) for k in (-1, 0, 2)),
    Case("diagonal: plain", call("diagonal"), real(3, 4)),
    Case("diagonal: offset", lambda lib, x: (lib.diagonal(x, 1), x.diagonal(-2), lib.diagonal(x, 3)), real(3, 4)),
    Case("diagonal: dims", call("diagonal", 0, 1, 2), X),
    Case("diagonal: dims turned round", call("diagonal", offset=1, dim1=-1, dim2=0), X),
    Case("diagonal: beyond", call("diagonal", 5), real(3, 4)),
    Case("trace: a matrix", call("trace"), real(3, 4)),
    Case("trace: integers", call("trace"), whole(3, 3, dtype="int32")),
    Case("trace: nothing", call("trace"), real(0, 3)),
    Case("narrow: middle", call("narrow", 1, 1, 2), X),
    Case("narrow: from behind", call("narrow", 2, -3, 2), X),
    Case("narrow: nothing", call("narrow", 0, 2, 0), X),
    Case("select: one", call("select", 1, 2), X),
    Case("select: negative", call("select", -1, -2), X),
    Case("meshgrid: ij", lambda lib, x, y: lib.meshgrid(x, y, indexing="ij"), real(2), real(3)),
    Case("meshgrid: xy", lambda lib, x, y: lib.meshgrid([x, y], indexing="xy"), real(2), real(3)),
    Case(
        "meshgrid: three and a number",
        lambda lib, x, y, z: lib.meshgrid(x, y, z, indexing="ij"),
        real(2),
        real(),
        real(3),
    ),
    Case("atleast_1d: a number", lambda lib, x, y: (lib.atleast_1d(x), lib.atleast_1d(y)), real(), real(2, 3)),
    Case(
        "contiguous: function",
        lambda lib, x: lib.contiguous(x.t()) * 2,
        real(2, 3),
        recorded=lambda lib, x: x.t().contiguous() * 2,
    ),
    Case("contiguous: transposed", lambda lib, x: x.t().contiguous() * 2, real(2, 3)),
    Case(
        "a chain", lambda lib, x: x.permute(2, 0, 1).reshape(4, -1).unsqueeze(1).expand(4, 2, 6).flip(0).flatten(1), X
    ),
]
PADS = {
    "constant": [(2, 0), (1, 2, 3, 0), (0, 0, 1, 1), (-1, 2), (-1, -1, 0, -1), (1, 1, 1, 1, 1, 1)],
    "reflect": [(1, 2), (0, 3), (2, 0)],
    "replicate": [(1, 2), (0, 5), (4, 0)],
    "circular": [(1, 2), (0, 4), (4, 4)],
}
for mode, amounts in PADS.items():
    for amount in amounts:
        CASES.append(Case(f"pad: {mode} {amount}", lambda lib, x, a=amount, m=mode: lib.nn.functional.pad(x, a, m), X))
    if mode != "constant":
        CASES.append(
            Case(
                f"pad: {mode}, two dims",
                lambda lib, x, m=mode: lib.nn.functional.pad(x, (1, 2, 2, 1), mode=m),
                real(1, 2, 3, 4),
            )
        )
        CASES.append(
            Case(
                f"pad: {mode}, cut and added",
                lambda lib, x, m=mode: lib.nn.functional.pad(x, (2, -1), mode=m),
                real(1, 2, 5),
                order=1 if mode == "circular" else None,
            )
        )
CASES += [
    Case("pad: value", lambda lib, x: lib.nn.functional.pad(x, (1, 1), value=2.5), real(2, 3)),
    Case("pad: integers", lambda lib, x: lib.nn.functional.pad(x, (1, 1), value=7), whole(2, 3)),
    Case("pad: bools", lambda lib, x: lib.nn.functional.pad(x, (1, 1), value=True), truth(2, 3)),
    Case("pad: reflect, far cut", lambda lib, x: lib.nn.functional.pad(x, (4, -3), mode="reflect"), real(1, 2, 5)),
    Case("pad: nothing", lambda lib, x: lib.nn.functional.pad(x, (1, 1)), real(2, 0)),
    Case("pad: float16", lambda lib, x: lib.nn.functional.pad(x, (1, 1), value=0.5), real(2, 3, dtype="float16")),
]
