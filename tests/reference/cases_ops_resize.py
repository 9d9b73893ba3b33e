"""Resizing: all modes, by size and by factor."""

from tests.reference.case import Case, given, real, whole


def call(**options):
    return lambda lib, x: lib.nn.functional.interpolate(x, **options)


SHAPES = {1: (2, 3, 7), 2: (1, 2, 5, 7), 3: (1, 2, 3, 4, 5)}
SIZES = {1: [3, 11, 7, 1, (14,)], 2: [(3, 11), (10, 14), (1, 1), 4, (5, 7), (5, 3)], 3: [(2, 7, 5), 1, (6, 8, 10)]}
FACTORS = {1: [2, 0.5, 1.7], 2: [2.0, 0.5, 1.7, (0.4, 3.0), 1.0, 2.6], 3: [2, 0.6, (0.5, 1.5, 1.0)]}
MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "area": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "trilinear": (3,),
    "bicubic": (2,),
}
CORNERS = ("linear", "bilinear", "trilinear", "bicubic")

CASES = []
for mode, dims in MODES.items():
    for d in dims:
        goals = [{"size": size} for size in SIZES[d]]
        for factor in FACTORS[d]:
            goals.append({"scale_factor": factor})
            if factor not in (1.0, 2.0):
                goals.append({"scale_factor": factor, "recompute_scale_factor": True})
        for goal in goals:
            for align in (None, False, True) if mode in CORNERS else (None,):
                options = {**goal, "mode": mode, **({} if align is None else {"align_corners": align})}
                if align is False and "size" in goal:
                    continue  # same as None
                title = ", ".join(f"{key} {value}" for key, value in options.items())
                CASES.append(Case(f"interpolate: {title}, {d}d", call(**options), real(*SHAPES[d]), order=1))
CASES += [
    Case("interpolate: nearest by default", call(size=(3, 9)), real(1, 2, 5, 4)),
    Case("interpolate: positional", lambda lib, x: lib.nn.functional.interpolate(x, 3), real(1, 2, 5, 4)),
    Case("interpolate: one pixel", call(size=(3, 4), mode="bilinear"), real(2, 3, 1, 1)),
    Case("interpolate: one pixel, corners", call(size=(3, 1), mode="bilinear", align_corners=True), real(2, 3, 4, 4)),
    Case("interpolate: one pixel, bicubic", call(size=(3, 4), mode="bicubic"), real(2, 3, 1, 1)),
    Case("interpolate: 33 px to 224", call(size=(50, 33), mode="bilinear"), real(1, 1, 33, 33), order=1),
    Case("interpolate: second order", call(scale_factor=2, mode="bicubic"), real(1, 1, 3, 4)),
    Case("interpolate: a factor list", call(scale_factor=[2.0, 0.5], mode="bilinear"), real(1, 2, 5, 4)),
    *(
        Case(f"interpolate: {mode}, {dtype}", call(scale_factor=2, mode=mode), real(1, 2, 3, 4, dtype=dtype))
        for mode in ("nearest", "bilinear", "bicubic", "area")
        for dtype in ("float16", "bfloat16")
    ),
    # Factors that keep the size, or nearly double it.
    *(
        Case(
            f"interpolate: {mode} by {factor} of 2x2",
            call(scale_factor=factor, mode=mode),
            real(1, 2, 2, 2),
            order=order,
        )
        for mode, order in (("nearest", 1), ("nearest-exact", 1), ("bilinear", 1), ("area", 1), ("bicubic", 0))
        for factor in ((1.0, 1.3), (2.1, 1.4), (1.0, 2.4))
    ),
    Case("interpolate: steps of nearest", call(size=(1, 10)), given([[[list(range(7))]]])),
]
for mode in ("bilinear", "bicubic", "lanczos"):
    for options in (
        {"size": (4, 9)},
        {"size": (11, 2)},
        {"scale_factor": (0.4, 1.7)},
        {"scale_factor": 0.6, "recompute_scale_factor": True},
        *([] if mode == "lanczos" else [{"size": (5, 3), "align_corners": True}]),
    ):
        title = ", ".join(f"{key} {value}" for key, value in options.items())
        chosen = call(mode=mode, antialias=True, **options)
        image = whole(2, 3, 13, 8, low=0, high=256, dtype="uint8")
        CASES.append(Case(f"interpolate: {mode}, antialias, {title}", chosen, real(1, 2, 7, 6), order=1))
        CASES.append(Case(f"interpolate: bytes, {mode}, antialias, {title}", chosen, image))
for mode in ("bilinear", "bicubic", "nearest", "nearest-exact"):
    for options in ({"size": (4, 9)}, {"size": (20, 13)}, {"scale_factor": (0.4, 1.7)}):
        title = ", ".join(f"{key} {value}" for key, value in options.items())
        image = whole(2, 3, 7, 8, low=0, high=256, dtype="uint8")
        CASES.append(Case(f"interpolate: bytes, {mode}, {title}", call(mode=mode, **options), image))
CASES += [
    Case(
        "interpolate: antialias keeps the size",
        call(scale_factor=1.1, mode="bicubic", antialias=True),
        real(1, 1, 5, 4, grad=False),  # PyTorch's gradient is that of another function
    ),
    Case("interpolate: no images", call(scale_factor=2), real(0, 2, 3, 3), order=1),
    Case("interpolate: bytes of a signal", call(scale_factor=2), whole(1, 2, 5, low=0, high=256, dtype="uint8")),
]
