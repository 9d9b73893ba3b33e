"""Padding and cropping."""

from tests.reference.case import Case, real, truth, whole

X = real(2, 3, 4)
CASES = []
PADS = {
    "constant": [(2, 0), (1, 2, 3, 0), (0, 0, 1, 1), (-1, 2), (-1, -1, 0, -1), (1, 1, 1, 1, 1, 1)],
    "reflect": [(1, 2), (0, 3), (2, 0)],
    "replicate": [(1, 2), (0, 5), (4, 0), (-4, 5), (5, -4), (-3, 5), (5, -5), (-1, 2), (-2, -1)],
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
for mode, amounts in {
    "constant": [(-5, 7), (3, -5, -3, 1), (-2, -3)],
    "reflect": [(-4, 3, 0, 0), (4, -6, 0, 0), (-3, 2, 2, -3)],
    "replicate": [(-4, 5, 0, 0), (3, -7, 0, 0), (-5, 2, 1, -3), (1, -6, 0, 0)],
    "circular": [(-2, 1, 0, 0), (2, -3, -1, 1)],
}.items():
    for amount in amounts:
        CASES.append(
            Case(
                f"pad: {mode}, cut by {amount}",
                lambda lib, x, a=amount, m=mode: lib.nn.functional.pad(x, a, m),
                real(1, 2, 3, 5),
                order=1,
            )
        )
