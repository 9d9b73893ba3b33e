"""A Metal kernel of your own, with its gradient, as an operation on tensors.

    python examples/custom_kernel.py

The operation is SwiGLU, ``silu(gate) * value``. custom_kernel.metal has its forward and backward functions; a
reference in MLX operations runs on machines without Metal, and defines what the kernel must compute. Prints

- on a Mac: the largest difference between the kernel and the reference, in values and gradients;
- everywhere: that the gradient agrees with finite differences, then loss and accuracy of a small network that uses the
  operation, trained on handwritten digits.

Needs pip install "lucid-mlx[train]". For a kernel with tiling, tuning and CUDA: lucid/kernels/depthwise_conv2d.
"""

from functools import cache
from pathlib import Path
from typing import Any

import lucid
import lucid.nn.functional as F
from lucid import autograd, data, nn, optim
from lucid.data import augment
from lucid.tape import op

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

SHADER = Path(__file__).with_suffix(".metal")
DTYPES = (mx.float32, mx.float16, mx.bfloat16)
THREADS = 256  # per threadgroup


def on_metal() -> bool:
    return mx.metal.is_available() and mx.default_device() == mx.Device(mx.gpu)


# The kernel ----------------------------------------------------------------------------------------------------------


@cache
def kernel(function: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Any:
    """The kernel that calls ``function`` of the shader; built once, on first use."""
    call = f"{function}<T>({', '.join(inputs + outputs)}, thread_position_in_grid.x);"
    return mx.fast.metal_kernel(f"example_{function}", inputs, outputs, call, header=SHADER.read_text("utf-8"))


def launch(function: str, outputs: tuple[str, ...], **inputs: mx.array) -> list[mx.array]:
    """Run ``function`` with one thread per element; the outputs have the shape and dtype of the inputs."""
    first = next(iter(inputs.values()))
    return kernel(function, tuple(inputs), outputs)(
        inputs=list(inputs.values()), output_shapes=[first.shape] * len(outputs),
        output_dtypes=[first.dtype] * len(outputs), grid=(first.size, 1, 1), threadgroup=(THREADS, 1, 1),
        template=[("T", first.dtype)],
    )  # fmt: skip


# MLX cannot differentiate a kernel: the custom function declares its gradient, which is the second kernel.
@mx.custom_function
def metal_swiglu(gate: mx.array, value: mx.array) -> mx.array:
    return launch("swiglu_forward", ("y",), gate=gate, value=value)[0]


@metal_swiglu.vjp
def _(primals: tuple[mx.array, mx.array], d_y: mx.array, y: mx.array) -> tuple[mx.array, ...]:
    gate, value = primals
    return tuple(launch("swiglu_backward", ("d_gate", "d_value"), gate=gate, value=value, d_y=d_y))


def reference_swiglu(gate: mx.array, value: mx.array) -> mx.array:
    """The same in MLX's operations, whose gradient MLX derives; half precision is computed in float32."""
    wide = gate.astype(mx.float32)
    return (wide * mx.sigmoid(wide) * value.astype(mx.float32)).astype(gate.dtype)


# The operation -------------------------------------------------------------------------------------------------------


@op  # a function of arrays becomes a function of tensors; its gradient is mx.vjp of the body
def swiglu(gate: Any, value: Any) -> mx.array:
    """``silu(gate) * value``, for two tensors of the same shape and floating-point dtype."""
    if gate.shape != value.shape or gate.dtype != value.dtype or gate.dtype not in DTYPES:
        raise ValueError(
            "swiglu: gate and value must have the same shape and a dtype of float32, float16 or bfloat16, "
            f"got {gate.shape} {gate.dtype} and {value.shape} {value.dtype}"
        )
    return metal_swiglu(gate, value) if on_metal() and gate.size else reference_swiglu(gate, value)


class Network(nn.Module):
    """Digits (N, 1, 8, 8) to logits (N, 10)."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.gate, self.value, self.head = nn.Linear(64, hidden), nn.Linear(64, hidden), nn.Linear(hidden, 10)

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        x = x.flatten(1)  # (N, 64)
        return self.head(swiglu(self.gate(x), self.value(x)))


def largest_difference(dtype: mx.Dtype) -> float:
    """Between kernel and reference, over the output and both gradients, relative to the largest value."""
    gate, value, d_y = (mx.random.normal((129, 65)).astype(dtype) for _ in range(3))
    differences = []
    ours, reference = (mx.vjp(one, [gate, value], [d_y]) for one in (metal_swiglu, reference_swiglu))
    for found, wanted in zip([*ours[0], *ours[1]], [*reference[0], *reference[1]], strict=True):
        found, wanted = found.astype(mx.float32), wanted.astype(mx.float32)
        differences.append((mx.abs(found - wanted).max() / mx.abs(wanted).max()).item())
    return max(differences)


def main() -> None:
    lucid.manual_seed(0)
    if on_metal():
        for dtype in DTYPES:
            print(f"largest difference from the reference in {dtype}: {largest_difference(dtype):.1e}")
    gate, value = (lucid.randn(3, 5).requires_grad_() for _ in range(2))
    autograd.gradcheck(swiglu, (gate, value))  # raises where they differ
    print("the gradient agrees with finite differences")

    train_set, test_set = augment.DeviceDataset(data.Digits()), augment.DeviceDataset(data.Digits(train=False))
    loader = augment.DeviceLoader(train_set, batch_size=64, shuffle=True, seed=0)
    normalize = augment.Normalize(data.Digits.mean, data.Digits.std)
    model = Network()
    optimizer = optim.AdamW(model.parameters(), lr=4e-3)
    for epoch in range(1, 6):
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(normalize(images)), labels)
            loss.backward()
            optimizer.step()
        with lucid.no_grad():
            accuracy = (model(normalize(test_set.images)).argmax(dim=1) == test_set.labels).float().mean().item()
        print(f"epoch {epoch}: loss {loss.item():.3f}, test accuracy {accuracy:.2%}")


if __name__ == "__main__":
    main()
