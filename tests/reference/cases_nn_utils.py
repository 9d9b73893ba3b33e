"""Gradient clipping with every norm."""

from tests.reference.case import Case, constant, given

INF = float("inf")


def clip(max_norm, **options):
    """The norm before clipping, and the gradients after."""

    def run(lib, *gradients):
        parameters = [lib.zeros_like(one).requires_grad_() for one in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        total = lib.nn.utils.clip_grad_norm_(parameters, max_norm, **options)
        return total, *(one.grad for one in parameters)

    return run


def clip_value(bound):
    def run(lib, gradient):
        parameter = lib.zeros_like(gradient).requires_grad_()
        parameter.grad = gradient.clone()
        lib.nn.utils.clip_grad_value_([parameter], bound)
        return parameter.grad

    return run


GRADIENTS = constant(3, 5), constant(7), constant(), constant(0, 2)
CASES = [
    Case(f"clip_grad_norm_: {max_norm}, norm_type {norm}", clip(max_norm, norm_type=norm), *tensors)
    for max_norm in (0.0, 0.5, 2.0, 1000.0)
    for norm in (1.0, 2.0, 3.0, 0.5, INF, -INF, 0.0)
    for tensors in [GRADIENTS if abs(norm) != INF else GRADIENTS[:3]]
] + [
    Case("clip_grad_norm_: default", clip(1.0), *GRADIENTS),
    Case("clip_grad_norm_: zeros", clip(1.0), given([0.0, 0.0], grad=False)),
    Case("clip_grad_norm_: an infinite bound", clip(INF), *GRADIENTS),
    Case("clip_grad_value_: 0.7", clip_value(0.7), constant(3, 5)),
    Case("clip_grad_value_: 0", clip_value(0.0), constant(3, 5)),
    Case(
        "get_total_norm: of several",
        lambda lib, a, b: (lib.nn.utils.get_total_norm([a, b]), lib.nn.utils.get_total_norm([a, b], 1.0)),
        constant(3, 5),
        constant(7),
    ),
]
