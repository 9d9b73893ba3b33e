"""The same ConvNeXt and the same training step in Lucid, in mlx.nn and in PyTorch.

All start from the same weights and see the same images. A framework has *programs*, functions without arguments that
compute a result and wait for it:

    training     forward     the loss
                 backward    the loss and all gradients
                 step        loss, gradients and AdamW's update; the next call continues from there
    inference    step        the logits

In half precision, training keeps float32 weights and computes in the lower dtype (with autocast, or by casting the
weights in the loss for mlx.nn), and inference uses weights that were cast in advance.
"""

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import lucid
from lucid import models, nn
from lucid.benchmark.depthwise import DTYPES

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.
import mlx.nn as mnn  # isort: skip
import mlx.optimizers as mopt  # isort: skip
from mlx.utils import tree_map  # isort: skip

LEARNING_RATE, DECAY, BETAS, EPS = 1e-4, 0.01, (0.9, 0.999), 1e-8
NORM_EPS = 1e-6
LAYER_SCALE = 0.1  # the usual 1e-6 would hide a wrong block
Program = Callable[[], Any]


@dataclass(frozen=True)
class Setup:
    """What all frameworks compute."""

    depths: tuple[int, ...]
    dims: tuple[int, ...]
    patch_size: int
    classes: int
    batch: int
    image_size_px: int
    dtype: str
    mode: str  # "training" or "inference"
    weights: dict[str, np.ndarray]  # the official names and shapes
    images: np.ndarray  # (N, H, W, 3)
    labels: np.ndarray  # (N,)

    @property
    def trains(self) -> bool:
        return self.mode == "training"

    @property
    def mlx_dtype(self) -> mx.Dtype:
        return DTYPES[self.dtype]


def make_setup(model: dict[str, Any], batch: int, image_size_px: int, dtype: str, mode: str) -> Setup:
    """Weights and images from a fixed seed; ``model`` holds depths, dims, patch_size and classes."""
    lucid.manual_seed(0)
    weights = {name: value.numpy() for name, value in _lucid_model(model).state_dict().items()}
    generator = np.random.default_rng(0)
    images = generator.normal(size=(batch, image_size_px, image_size_px, 3)).astype(np.float32)
    labels = generator.integers(0, model["classes"], batch)
    return Setup(**model, batch=batch, image_size_px=image_size_px, dtype=dtype, mode=mode, weights=weights,
                 images=images, labels=labels)  # fmt: skip


def _lucid_model(model: dict[str, Any]) -> models.ConvNeXt:
    return models.ConvNeXt(
        model["classes"], model["depths"], model["dims"], layer_scale_init=LAYER_SCALE, patch_size=model["patch_size"]
    )


# Lucid ---------------------------------------------------------------------------------------------------------------


def lucid_inputs(setup: Setup) -> tuple[models.ConvNeXt, lucid.Tensor, lucid.Tensor]:
    """The model, images (N, 3, H, W) laid out channels last, and labels."""
    model = _lucid_model(vars(setup))
    model.load_state_dict(setup.weights)
    images = lucid.tensor(mx.array(setup.images).transpose(0, 3, 1, 2))
    return model, images, lucid.tensor(mx.array(setup.labels))


def lucid_loss(model: nn.Module, images: lucid.Tensor, labels: lucid.Tensor, dtype: mx.Dtype) -> lucid.Tensor:
    half: AbstractContextManager[Any] = nullcontext() if dtype == mx.float32 else lucid.autocast(dtype=dtype)
    with half:
        return nn.functional.cross_entropy(model(images), labels)


def lucid_programs(setup: Setup, compiled: bool, checkpointing: bool = False) -> dict[str, Program]:
    model, images, labels = lucid_inputs(setup)

    def call(function: Callable[..., Any], *state: Any) -> Callable[..., Any]:
        return lucid.compile(function, state=list(state)) if compiled else function

    if not setup.trains:
        model.to(setup.mlx_dtype).eval()
        images = images.to(setup.mlx_dtype)
        infer = call(lambda images: model(images), model)

        def inference() -> mx.array:
            with lucid.no_grad():
                return evaluated(infer(images).mlx)

        return {"step": inference}

    if checkpointing:
        model.set_grad_checkpointing()
    parameters = list(model.parameters())
    optimizer = lucid.optim.AdamW(parameters, LEARNING_RATE, BETAS, EPS, DECAY)

    def loss_of(images: lucid.Tensor, labels: lucid.Tensor) -> lucid.Tensor:
        return lucid_loss(model, images, labels, setup.mlx_dtype)

    def gradients_of(images: lucid.Tensor, labels: lucid.Tensor) -> lucid.Tensor:
        model.zero_grad()
        loss = loss_of(images, labels)
        loss.backward()
        return loss

    def step_with(images: lucid.Tensor, labels: lucid.Tensor) -> lucid.Tensor:
        loss = gradients_of(images, labels)
        optimizer.step()
        return loss

    forward, backward, step = call(loss_of, model), call(gradients_of, model), call(step_with, model, optimizer)

    def loss_alone() -> mx.array:
        return evaluated(forward(images, labels).mlx)

    def loss_and_gradients() -> mx.array:
        loss = backward(images, labels).mlx
        return evaluated(loss, [p.grad.mlx for p in parameters if p.grad is not None])

    def whole_step() -> mx.array:
        loss = step(images, labels).mlx
        return evaluated(loss, [p.mlx for p in parameters], [one.mlx for one in optimizer.state_tensors()])

    return {"forward": loss_alone, "backward": loss_and_gradients, "step": whole_step}


# mlx.nn --------------------------------------------------------------------------------------------------------------


class PlainGRN(mnn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma, self.beta = mx.zeros((1, 1, 1, dim)), mx.zeros((1, 1, 1, dim))

    def __call__(self, x: mx.array) -> mx.array:
        norm = mx.linalg.norm(x, axis=[1, 2], keepdims=True)
        return self.gamma * (x * (norm / (norm.mean(-1, keepdims=True) + NORM_EPS))) + self.beta + x


class PlainBlock(mnn.Module):
    def __init__(self, dim: int, grn: bool = False) -> None:
        super().__init__()
        self.dwconv = mnn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = mnn.LayerNorm(dim, eps=NORM_EPS)
        self.pwconv1 = mnn.Linear(dim, 4 * dim)
        self.pwconv2 = mnn.Linear(4 * dim, dim)
        if grn:
            self.grn = PlainGRN(4 * dim)
        else:
            self.gamma = mx.full((dim,), LAYER_SCALE)

    def __call__(self, x: mx.array) -> mx.array:
        y = mnn.gelu(self.pwconv1(self.norm(self.dwconv(x))))
        if "grn" in self:
            return x + self.pwconv2(self.grn(y))
        return x + self.gamma * self.pwconv2(y)


class PlainConvNeXt(mnn.Module):
    """ConvNeXt in mlx.nn, with a grouped mx.conv2d for the depthwise convolution. Images (N, H, W, 3)."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        dims = setup.dims
        first = [mnn.Conv2d(3, dims[0], setup.patch_size, setup.patch_size), mnn.LayerNorm(dims[0], eps=NORM_EPS)]
        self.downsample_layers = [first]
        for narrow, wide in pairwise(dims):
            self.downsample_layers.append([mnn.LayerNorm(narrow, eps=NORM_EPS), mnn.Conv2d(narrow, wide, 2, 2)])
        grn = any(".grn." in name for name in setup.weights)
        self.stages = [[PlainBlock(dim, grn) for _ in range(n)] for n, dim in zip(setup.depths, dims, strict=True)]
        self.norm = mnn.LayerNorm(dims[-1], eps=NORM_EPS)
        self.head = mnn.Linear(dims[-1], setup.classes)

    def __call__(self, x: mx.array) -> mx.array:
        for down, stage in zip(self.downsample_layers, self.stages, strict=True):
            for layer in (*down, *stage):
                x = layer(x)
        return self.head(self.norm(x.mean((1, 2))))


def plain_programs(setup: Setup, compiled: bool) -> dict[str, Program]:
    model = PlainConvNeXt(setup)
    channels_last = {
        name: value.transpose(0, 2, 3, 1) if value.ndim == 4 else value for name, value in setup.weights.items()
    }
    model.load_weights([(name, mx.array(value)) for name, value in channels_last.items()])
    optimizer = mopt.AdamW(LEARNING_RATE, list(BETAS), EPS, DECAY, bias_correction=True)
    images, labels = mx.array(setup.images), mx.array(setup.labels)
    low = setup.mlx_dtype

    if not setup.trains:
        model.set_dtype(low)
        images = images.astype(low)
        infer = mx.compile(model, inputs=model.state) if compiled else model
        return {"step": lambda: evaluated(infer(images))}

    def loss_of(parameters: Any, images: mx.array, labels: mx.array) -> mx.array:
        if low != mx.float32:
            parameters, images = tree_map(lambda one: one.astype(low), parameters), images.astype(low)
        model.update(parameters)
        return mnn.losses.cross_entropy(model(images).astype(mx.float32), labels, reduction="mean")

    def forward(images: mx.array, labels: mx.array) -> mx.array:
        parameters = model.parameters()
        loss = loss_of(parameters, images, labels)
        model.update(parameters)
        return loss

    def backward(images: mx.array, labels: mx.array) -> tuple[mx.array, Any]:
        parameters = model.parameters()
        loss, gradients = mx.value_and_grad(loss_of)(parameters, images, labels)
        model.update(parameters)  # instead of the arrays that value_and_grad traced
        return loss, gradients

    def step(images: mx.array, labels: mx.array) -> mx.array:
        loss, gradients = backward(images, labels)
        optimizer.update(model, gradients)
        return loss

    if compiled:
        state = [model.state, optimizer.state]
        optimizer.init(model.trainable_parameters())
        forward, backward = mx.compile(forward, inputs=state), mx.compile(backward, inputs=state)
        step = mx.compile(step, inputs=state, outputs=state)
    return {
        "forward": lambda: evaluated(forward(images, labels)),
        "backward": lambda: evaluated(*backward(images, labels)),
        "step": lambda: evaluated(step(images, labels), model.state, optimizer.state),
    }


def evaluated(first: mx.array, *others: Any) -> mx.array:
    """Evaluate everything, then return ``first``."""
    mx.eval(first, *others)
    return first


# PyTorch -------------------------------------------------------------------------------------------------------------


def torch_model(torch: Any, setup: Setup) -> Any:
    """As the authors wrote it: linear layers on channels-last views."""
    tnn: Any = torch.nn

    class ChannelsFirstNorm(tnn.LayerNorm):
        def forward(self, x: Any) -> Any:
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    class TorchBlock(tnn.Module):
        def __init__(self, dim: int) -> None:
            super().__init__()
            self.dwconv = tnn.Conv2d(dim, dim, 7, padding=3, groups=dim)
            self.norm = tnn.LayerNorm(dim, eps=NORM_EPS)
            self.pwconv1, self.pwconv2 = tnn.Linear(dim, 4 * dim), tnn.Linear(4 * dim, dim)
            self.gamma = tnn.Parameter(torch.full((dim,), LAYER_SCALE))

        def forward(self, x: Any) -> Any:
            y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
            y = self.gamma * self.pwconv2(tnn.functional.gelu(self.pwconv1(y)))
            return x + y.permute(0, 3, 1, 2)

    class TorchConvNeXt(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            dims, size = setup.dims, setup.patch_size
            first = tnn.Sequential(tnn.Conv2d(3, dims[0], size, size), ChannelsFirstNorm(dims[0], NORM_EPS))
            halving = (
                tnn.Sequential(ChannelsFirstNorm(narrow, NORM_EPS), tnn.Conv2d(narrow, wide, 2, 2))
                for narrow, wide in pairwise(dims)
            )
            self.downsample_layers = tnn.ModuleList([first, *halving])
            stages = zip(setup.depths, dims, strict=True)
            self.stages = tnn.ModuleList(tnn.Sequential(*(TorchBlock(dim) for _ in range(n))) for n, dim in stages)
            self.norm = tnn.LayerNorm(dims[-1], eps=NORM_EPS)
            self.head = tnn.Linear(dims[-1], setup.classes)

        def forward(self, x: Any) -> Any:
            for down, stage in zip(self.downsample_layers, self.stages, strict=True):
                x = stage(down(x))
            return self.head(self.norm(x.mean((2, 3))))

    model = TorchConvNeXt()
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in setup.weights.items()})
    return model


def torch_programs(
    setup: Setup, compiled: bool, torch: Any, device: str, contiguous: bool = False
) -> dict[str, Program]:
    synchronize = {"mps": torch.mps.synchronize, "cuda": torch.cuda.synchronize, "cpu": lambda: None}[device]
    dtype, layout = getattr(torch, setup.dtype), torch.contiguous_format if contiguous else torch.channels_last
    model = torch_model(torch, setup).to(device=device, memory_format=layout)
    images = torch.from_numpy(setup.images).permute(0, 3, 1, 2).to(device).contiguous(memory_format=layout)
    labels = torch.from_numpy(setup.labels).to(device)

    if not setup.trains:
        model, images = model.to(dtype).eval(), images.to(dtype)
        infer = torch.compile(model) if compiled else model

        def inference() -> Any:
            with torch.inference_mode():
                logits = infer(images)
                synchronize()
                return logits.float().cpu()

        return {"step": inference}

    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, BETAS, EPS, DECAY, fused=device == "cuda")
    called = torch.compile(model) if compiled else model

    def forward() -> Any:
        half = torch.autocast(device, dtype) if setup.dtype != "float32" else nullcontext()
        with half:
            loss = torch.nn.functional.cross_entropy(called(images), labels)
        synchronize()
        return loss

    def backward() -> Any:
        optimizer.zero_grad()
        loss = forward()
        loss.backward()
        synchronize()
        return loss

    def step() -> Any:
        loss = backward()
        optimizer.step()
        synchronize()
        return loss

    def read(run: Program) -> Any:
        return run().detach().float().cpu()

    return {"forward": partial(read, forward), "backward": partial(read, backward), "step": partial(read, step)}


# All frameworks ------------------------------------------------------------------------------------------------------

FRAMEWORKS: dict[str, tuple[str, Callable[..., dict[str, Program]]]] = {
    "lucid": ("Lucid, compiled", partial(lucid_programs, compiled=True)),
    "lucid-eager": ("Lucid, eager", partial(lucid_programs, compiled=False)),
    "lucid-checkpointing": ("Lucid, checkpointing", partial(lucid_programs, compiled=True, checkpointing=True)),
    "mlx": ("mlx.nn, compiled", partial(plain_programs, compiled=True)),
    "mlx-eager": ("mlx.nn, eager", partial(plain_programs, compiled=False)),
    "torch": ("PyTorch, eager", partial(torch_programs, compiled=False)),
    "torch-contiguous": ("PyTorch, eager, NCHW", partial(torch_programs, compiled=False, contiguous=True)),
    "torch-compiled": ("PyTorch, compiled", partial(torch_programs, compiled=True)),
}


class Framework:
    """One of ``known``, ready to run, and the memory in use before it was built."""

    known = FRAMEWORKS

    def __init__(self, name: str, setup: Setup, torch: tuple[Any, str] | None) -> None:
        self.name, (self.title, maker) = name, self.known[name]
        self._torch = torch if name.startswith("torch") else None
        gc.collect()
        self._memory_before = mx.get_active_memory()
        self.programs = maker(setup) if self._torch is None else maker(setup, torch=torch[0], device=torch[1])  # type: ignore[index]

    @property
    def is_compiled(self) -> bool:
        return "compiled" in self.title or "checkpointing" in self.title

    def peak_bytes(self) -> int | None:
        """Of one step, weights, state and images included. Call it before another framework is built."""
        if self._torch is not None:
            torch, device = self._torch
            if device != "cuda":
                return None
            torch.cuda.reset_peak_memory_stats()
            self.programs["step"]()
            return torch.cuda.max_memory_allocated()
        gc.collect()
        mx.synchronize()
        mx.reset_peak_memory()
        self.programs["step"]()
        return mx.get_peak_memory() - self._memory_before


def count_parameters(setup: Setup) -> int:
    return sum(value.size for value in setup.weights.values())


def counted_bytes(setup: Setup) -> int:
    """What ``lucid.profile`` counts for Lucid's compiled step on an Apple GPU."""
    model, images, labels = lucid_inputs(setup)
    if not setup.trains:
        model.to(setup.mlx_dtype).eval()

        def infer(images: lucid.Tensor) -> lucid.Tensor:
            with lucid.no_grad():
                return model(images)

        return lucid.profile(infer, images.to(setup.mlx_dtype), state=model, compiled=True).bytes
    optimizer = lucid.optim.AdamW(model.parameters(), LEARNING_RATE, BETAS, EPS, DECAY)

    def step(images: lucid.Tensor, labels: lucid.Tensor) -> lucid.Tensor:
        optimizer.zero_grad()
        loss = lucid_loss(model, images, labels, setup.mlx_dtype)
        loss.backward()
        optimizer.step()
        return loss

    return lucid.profile(step, images, labels, state=[model, optimizer], compiled=True).bytes
