"""A user's program, as the README and the guides write one. mypy --strict and pyright find no error in it.

``assert_type`` states what an editor shows. The functions are not called.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import Tensor, checkpoint, data, export, metrics, models, nn, optim, training

if TYPE_CHECKING:
    if sys.version_info >= (3, 11):
        from typing import assert_type
    else:
        from typing_extensions import assert_type


class Block(nn.Module):
    """A residual block."""

    def __init__(self, channels: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))
        self.scale = nn.Parameter(lucid.full((channels,), 1e-6))
        self.drop_path = nn.DropPath(drop_path)
        self.register_buffer("calls", lucid.zeros(1, dtype=lucid.int32))

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(x).permute(0, 2, 3, 1)
        return x + self.drop_path((self.mlp(y) * self.scale).permute(0, 3, 1, 2))


class Numbers(data.Dataset[tuple[np.ndarray, int]]):
    """Samples of two fields."""

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.full((3, 8, 8), index, np.float32), index % 2

    def __len__(self) -> int:
        return 64


class Words(data.IterableDataset[dict[str, str]]):
    def __iter__(self) -> Iterator[dict[str, str]]:
        yield {"word": "lucid"}


def tensors() -> None:
    x = lucid.randn(4, 3, requires_grad=True)
    assert_type(x == 1, Tensor)
    assert_type(1 - 2 * x, Tensor)
    assert_type(x.softmax(dim=1), Tensor)
    assert_type(lucid.softmax(x, dim=1), Tensor)
    assert_type(lucid.cat([x, x]).sum(dim=0), Tensor)
    assert_type(x.sort(dim=0).values, Tensor)
    assert_type(lucid.where(x > 0, x, 0), Tensor)
    assert_type(x.size(), tuple[int, ...])
    assert_type(x.size(0), int)
    assert_type(x.sum().item(), int | float)
    assert_type(x[0, None].to(lucid.float16), Tensor)
    x.square().mean().backward()
    values, indices = x.max(dim=1)
    if x.grad is not None and x.dtype == lucid.float32 and (values > 0).any():
        print(f"{x.grad.norm().item():.3f} {indices.tolist()} {x.shape}")


def loop(epochs: int) -> float:
    lucid.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 2, stride=2), Block(16), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    optimizer = optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.05)
    warmup = optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=2)
    cosine = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    scheduler = optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], [2])
    ema, scaler, accuracy = optim.EMA(model, 0.999), lucid.amp.GradScaler(), metrics.Accuracy()
    train, test = data.random_split(Numbers(), [0.8, 0.2], seed=0)
    loader: data.DataLoader[list[Tensor]] = data.DataLoader(train, 8, shuffle=True, num_workers=2, drop_last=True)
    words: data.DataLoader[dict[str, list[str]]] = data.DataLoader(Words(), batch_size=2)
    print(loader, words, len(test))

    @lucid.compile(state=[model, optimizer, ema, scaler])
    def step(images: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad()
        with lucid.autocast(dtype=lucid.bfloat16):
            loss = F.cross_entropy(model(images), labels, label_smoothing=0.1)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        ema.update()
        return loss.detach()

    loss = lucid.tensor(0.0)
    for _ in range(epochs):
        for images, labels in loader:
            loss = step(images, labels)
            assert_type(loss, Tensor)
        scheduler.step()
    with lucid.no_grad(), ema.applied():
        for images, labels in data.DataLoader(test, batch_size=8):
            accuracy.update(lucid.compile(model)(images), labels)
    print(step.retraces.count, scheduler.get_last_lr(), accuracy.compute())
    return float(loss.item())


@lucid.no_grad()
def classify(model: models.ConvNeXt, images: Tensor) -> list[str]:
    names = ["cat", "dog"]
    return [names[int(number.item())] for number in model(images).argmax(dim=1)]


def files(folder: Path) -> None:
    model = models.ConvNeXt(num_classes=2, depths=[1, 1], dims=[16, 32], patch_size=2)
    lucid.save(model.state_dict(), folder / "weights.safetensors")
    print(model.load_state_dict(lucid.load(folder / "weights.safetensors")).missing_keys)
    models.save_checkpoint(model, folder / "mine.safetensors", class_names=["cat", "dog"])
    trained = models.from_checkpoint(folder / "mine.safetensors")
    print(lucid.summary(trained, (1, 3, 64, 64)), trained.class_names[0], models.model_info("convnext_tiny").macs)
    export.export_function(trained, folder / "mine.mlxfn")
    manager = checkpoint.Manager(folder / "checkpoints", keep=3)
    manager.save({"model": model}, step=1)
    x = np.zeros((64, 20), np.float32)
    recipe = training.Recipe(epochs=2, batch_size=32, lr=1e-2)
    mlp = nn.Sequential(nn.Linear(20, 64), nn.GELU(), nn.Linear(64, 2))
    trainer = training.Trainer(mlp, recipe, train=(x, x[:, 0].astype(np.int32)), folder=folder / "run")
    trainer.fit(progress=False)
