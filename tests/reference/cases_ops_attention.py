"""``scaled_dot_product_attention``: masks, causality, grouped queries, numbers of dimensions, dtypes."""

from tests.reference.case import Case, given, real, truth

INF = float("inf")
MASK = [[0.0, -1.0, -INF, 0.5, 0.0], [-INF, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]
DEAD = [[True, False, True, True, False], [False] * 5, [True] * 5]


def attend(lib, q, k, v, mask=None, **options):
    return lib.nn.functional.scaled_dot_product_attention(q, k, v, mask, **options)


def call(**options):
    return lambda lib, *tensors: attend(lib, *tensors, **options)


QUERY, KEY, VALUE = real(2, 4, 3, 6), real(2, 4, 5, 6), real(2, 4, 5, 7)
CASES = [
    Case("attention", call(), QUERY, KEY, VALUE),
    Case("attention: scale", call(scale=0.3), QUERY, KEY, VALUE),
    Case("attention: causal", call(is_causal=True), QUERY, KEY, VALUE),
    Case("attention: causal square", call(is_causal=True), *[real(2, 4, 5, 6)] * 3, order=1),
    Case("attention: a mask of bools", call(), QUERY, KEY, VALUE, truth(2, 1, 3, 5)),
    Case("attention: a mask of numbers", call(), QUERY, KEY, VALUE, real(3, 5)),
    Case("attention: a mask with -inf", call(), QUERY, KEY, VALUE, given(MASK, grad=False)),
    Case("attention: a row without anything", call(), QUERY, KEY, VALUE, given(DEAD, "bool")),
    Case("attention: a row of -inf", call(), QUERY, KEY, VALUE,
         given([[-INF] * 5, [0.0] * 5, [0.0] * 5], grad=False)),
    Case("attention: grouped", call(enable_gqa=True), QUERY, real(2, 2, 5, 6), real(2, 2, 5, 7)),
    Case("attention: grouped and causal", call(enable_gqa=True, is_causal=True), QUERY, real(2, 1, 3, 6),
         real(2, 1, 3, 7)),
    Case("attention: two dimensions", call(), real(3, 6), real(5, 6), real(5, 7)),
    Case("attention: three dimensions", call(is_causal=True), real(2, 3, 6), real(2, 5, 6), real(2, 5, 7)),
    Case("attention: five dimensions", call(), real(2, 1, 2, 3, 4), real(2, 1, 2, 5, 4), real(2, 1, 2, 5, 4)),
    Case("attention: broadcast", call(), real(2, 1, 3, 6), real(1, 4, 5, 6), real(2, 4, 5, 7)),
    Case("attention: no queries", call(), real(2, 0, 6), real(2, 5, 6), real(2, 5, 7), order=0),
    Case("attention: float16", call(), *[real(2, 3, 4, 8, dtype="float16")] * 3),
    Case("attention: bfloat16", call(), *[real(2, 3, 4, 8, dtype="bfloat16")] * 3),
]  # fmt: skip
