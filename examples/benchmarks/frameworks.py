"""All frameworks of ``training_step.py``: those of ``lucid.benchmark.frameworks``, and the step written by hand."""

from collections.abc import Callable
from functools import partial
from typing import Any

from lucid.benchmark import frameworks
from lucid.benchmark.frameworks import (
    BETAS,
    DECAY,
    DTYPES,
    EPS,
    LEARNING_RATE,
    NORM_EPS,
    PlainConvNeXt,
    Program,
    Setup,
    count_parameters,
    evaluated,
    lucid_inputs,
    lucid_loss,
    make_setup,
)  # fmt: skip
from lucid.kernels.depthwise_conv2d import depthwise_conv2d
from lucid.kernels.fusion import fused
from lucid.kernels.gelu import gelu

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

__all__ = [
    "DTYPES", "FRAMEWORKS", "Framework", "PlainConvNeXt", "Setup", "adamw_by_hand", "count_parameters", "loss_by_hand",
    "lucid_inputs", "lucid_loss", "make_setup",
]  # fmt: skip


def logits_by_hand(weights: dict[str, mx.array], x: mx.array, setup: Setup) -> mx.array:
    """Functions of arrays on Lucid's kernels, to measure the cost of its tensors. Images (N, H, W, 3)."""

    def linear(x: mx.array, name: str) -> mx.array:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        rows = x.reshape(-1, weight.shape[1])
        return mx.addmm(bias, rows, weight.T).reshape(*x.shape[:-1], weight.shape[0])

    def norm(x: mx.array, name: str) -> mx.array:
        return mx.fast.layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], NORM_EPS)

    def patches(x: mx.array, name: str, size: int) -> mx.array:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        n, h, w, c = x.shape
        x = x[:, : h // size * size, : w // size * size].reshape(n, h // size, size, w // size, size, c)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, size * size * c)
        taps = weight.transpose(0, 2, 3, 1).reshape(weight.shape[0], -1)
        return (x @ taps.T).reshape(n, h // size, w // size, weight.shape[0]) + bias

    def block(x: mx.array, name: str) -> mx.array:
        y = depthwise_conv2d(x, weights[f"{name}.dwconv.weight"], weights[f"{name}.dwconv.bias"], padding=3)
        y = gelu(linear(norm(y, f"{name}.norm"), f"{name}.pwconv1"))
        if f"{name}.grn.gamma" in weights:
            size = mx.linalg.norm(y, axis=(1, 2), keepdims=True)
            scale = 1 + weights[f"{name}.grn.gamma"] * (size / (size.mean(-1, keepdims=True) + NORM_EPS))
            return x + linear(y * scale + weights[f"{name}.grn.beta"], f"{name}.pwconv2")
        return x + weights[f"{name}.gamma"] * linear(y, f"{name}.pwconv2")

    for i, depth in enumerate(setup.depths):
        at = f"downsample_layers.{i}"
        if i == 0:
            x = norm(patches(x, f"{at}.0", setup.patch_size), f"{at}.1")
        else:
            x = patches(norm(x, f"{at}.0"), f"{at}.1", 2)
        for j in range(depth):
            x = block(x, f"stages.{i}.{j}")
    return linear(norm(x.mean((1, 2)), "norm"), "head")


def loss_by_hand(weights: dict[str, mx.array], images: mx.array, labels: mx.array, setup: Setup) -> mx.array:
    low = setup.mlx_dtype
    if low != mx.float32:
        weights, images = {name: one.astype(low) for name, one in weights.items()}, images.astype(low)
    logits = logits_by_hand(weights, images, setup).astype(mx.float32)
    chosen = mx.take_along_axis(logits, labels[:, None], 1)[:, 0]
    return (mx.logsumexp(logits, 1) - chosen).mean()


@partial(fused, shapeless=True)
def adamw_by_hand(
    parameter: mx.array, gradient: mx.array, mean: mx.array, square: mx.array, rate: mx.array, eps: mx.array
) -> tuple[mx.array, mx.array, mx.array]:
    mean = BETAS[0] * mean + (1 - BETAS[0]) * gradient
    square = BETAS[1] * square + (1 - BETAS[1]) * mx.square(gradient)
    return parameter * (1 - LEARNING_RATE * DECAY) - rate * mean / (mx.sqrt(square) + eps), mean, square


def hand_programs(setup: Setup, compiled: bool) -> dict[str, Program]:
    images, labels = mx.array(setup.images), mx.array(setup.labels)
    weights = {name: mx.array(value) for name, value in setup.weights.items()}
    if not setup.trains:
        weights = {name: one.astype(setup.mlx_dtype) for name, one in weights.items()}
        images = images.astype(setup.mlx_dtype)

        def infer(weights: dict[str, mx.array], images: mx.array) -> mx.array:
            return logits_by_hand(weights, images, setup)

        infer = mx.compile(infer) if compiled else infer
        return {"step": lambda: evaluated(infer(weights, images))}

    moments = {name: (mx.zeros_like(one), mx.zeros_like(one)) for name, one in weights.items()}
    state = [weights, moments, mx.array(0.0)]

    def forward(weights: dict[str, mx.array], images: mx.array, labels: mx.array) -> mx.array:
        return loss_by_hand(weights, images, labels, setup)

    backward = mx.value_and_grad(forward)

    def step(state: list[Any], images: mx.array, labels: mx.array) -> tuple[mx.array, list[Any]]:
        weights, moments, count = state
        loss, gradients = backward(weights, images, labels)
        count = count + 1
        root = mx.sqrt(1 - BETAS[1] ** count)
        rate, eps = LEARNING_RATE * root / (1 - BETAS[0] ** count), EPS * root
        after = {name: adamw_by_hand(one, gradients[name], *moments[name], rate, eps) for name, one in weights.items()}
        weights = {name: one for name, (one, _, _) in after.items()}
        return loss, [weights, {name: (mean, square) for name, (_, mean, square) in after.items()}, count]

    call = mx.compile if compiled else lambda function: function
    forward_program, backward_program, step_program = call(forward), call(backward), call(step)

    def whole_step() -> mx.array:
        nonlocal state
        loss, state = step_program(state, images, labels)
        return evaluated(loss, state)

    return {
        "forward": lambda: evaluated(forward_program(state[0], images, labels)),
        "backward": lambda: evaluated(*backward_program(state[0], images, labels)),
        "step": whole_step,
    }


FRAMEWORKS: dict[str, tuple[str, Callable[..., dict[str, Program]]]] = {
    "lucid": frameworks.FRAMEWORKS["lucid"],
    "lucid-eager": frameworks.FRAMEWORKS["lucid-eager"],
    "lucid-checkpointing": frameworks.FRAMEWORKS["lucid-checkpointing"],
    "hand": ("by hand, compiled", partial(hand_programs, compiled=True)),
    "hand-eager": ("by hand, eager", partial(hand_programs, compiled=False)),
}
FRAMEWORKS |= frameworks.FRAMEWORKS


class Framework(frameworks.Framework):
    """One of FRAMEWORKS, ready to run."""

    known = FRAMEWORKS
