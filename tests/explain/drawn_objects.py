"""Pictures of an object on a texture, a small ConvNeXt that tells the objects apart, and where its Grad-CAM lies.

    python -m tests.explain.drawn_objects --sheet objects.png

prints for how many of 100 new pictures the maximum of the map of the predicted class lies on the object, and for how
many most of the map does, for five networks from different seeds. The object covers about a tenth of the picture.
"""

import argparse
from pathlib import Path

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import explain, models, optim

CLASSES = ["disc", "square", "diamond", "stripes", "nothing"]
COLORS = np.array([(1.2, -0.4, -0.4), (-0.4, 1.2, -0.4), (-0.4, -0.4, 1.2), (1.0, 0.8, -0.8)])  # with jitter
SIZE, GRAIN = 48, 2  # px


def draw(rng, label, sizes):
    """A picture (3, SIZE, SIZE) with values around 0 and 1, and the place of the object (SIZE, SIZE)."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    angle, period, phase = rng.uniform(0, np.pi), rng.uniform(40, 120), rng.uniform(0, 2 * np.pi)
    light = 0.2 * np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + phase)
    grains = rng.normal(0, 0.25, (SIZE // GRAIN, SIZE // GRAIN)) + rng.normal(
        0, 0.06, (3, SIZE // GRAIN, SIZE // GRAIN)
    )
    texture = (light + grains.repeat(GRAIN, axis=1).repeat(GRAIN, axis=2)).astype(np.float32)  # (3, SIZE, SIZE)
    noise = rng.normal(0, 0.1, texture.shape).astype(np.float32)
    if CLASSES[label] == "nothing":
        return texture + noise, np.zeros((SIZE, SIZE), bool)
    radius = rng.uniform(*sizes)
    top, left = rng.uniform(radius, SIZE - radius, 2)
    dy, dx = abs(y - top), abs(x - left)
    inside = {
        "disc": np.hypot(dy, dx) < radius,
        "square": np.maximum(dy, dx) < 0.85 * radius,
        "diamond": dy + dx < 1.2 * radius,
        "stripes": np.hypot(dy, dx) < radius,
    }[CLASSES[label]]
    painted = inside & ((y - top) % 4 < 3) if CLASSES[label] == "stripes" else inside
    color = 0.8 * COLORS[label] * rng.uniform(0.9, 1.1) + rng.uniform(-0.1, 0.1, 3)
    texture[:, painted] = color[:, None].astype(np.float32)
    return texture + noise, inside


def batch(rng, count, classes, sizes=(8, 11)):
    """Pictures (N, 3, SIZE, SIZE) of the first ``classes`` classes, their numbers (N,), and places (N, SIZE, SIZE)."""
    labels = rng.integers(0, classes, count)
    pictures, places = zip(*(draw(rng, label, sizes) for label in labels), strict=True)
    return np.stack(pictures), labels, np.stack(places)


def train(steps, seed=0, batch_size=32, lr=8e-3):
    """A ConvNeXt of two small stages with a feature map of 6 x 6.

    It is trained on objects of all sizes: where it has seen none that is larger, the norm of the pooled features lets
    it give a lower score to more of the object, and the gradient says so.
    """
    lucid.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = models.ConvNeXt(len(CLASSES), (1, 1), (48, 96))
    optimizer = optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for _ in range(steps):
        pictures, labels, _ = batch(rng, batch_size, len(CLASSES), sizes=(6, 23))
        optimizer.zero_grad()
        F.cross_entropy(model(lucid.tensor(pictures)), lucid.tensor(labels)).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def located(model, count=100, seed=1000):
    """How many of ``count`` new pictures are right, and have the maximum, and most, of their map on the object."""
    pictures, labels, places = batch(np.random.default_rng(seed), count, len(COLORS))
    with lucid.no_grad():
        right = (model(lucid.tensor(pictures)).argmax(dim=1).numpy() == labels).sum()
    maps = explain.grad_cam(model, pictures).numpy()
    tops = maps.reshape(count, -1).argmax(axis=1)
    on_object = places.reshape(count, -1)[np.arange(count), tops] & (maps.max(axis=(1, 2)) > 0)
    mass = (maps * places).sum(axis=(1, 2)) > 0.5 * maps.sum(axis=(1, 2))
    return int(right), int(on_object.sum()), int(mass.sum())


def write_sheet(model, path, count=12, seed=2):
    """Pictures above their heat maps, enlarged."""
    from PIL import Image

    pictures, _, _ = batch(np.random.default_rng(seed), count, len(COLORS))
    maps = explain.grad_cam(model, pictures).numpy()
    rows = [[], []]
    for picture, heat in zip(pictures, maps, strict=True):
        pixels = np.rint((picture.transpose(1, 2, 0) * 0.3 + 0.4).clip(0, 1) * 255).astype(np.uint8)
        image = Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC)
        rows[0].append(np.pad(np.asarray(image), ((4, 4), (4, 4), (0, 0)), constant_values=255))
        drawn = np.asarray(explain.overlay(image, heat))
        rows[1].append(np.pad(drawn, ((4, 4), (4, 4), (0, 0)), constant_values=255))
    sheet = Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows]))
    sheet.quantize(128).save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=80, help="training steps (default: 80)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], metavar="N",
                        help="of weights and training pictures, one network each (default: 0 to 4)")  # fmt: skip
    parser.add_argument("--sheet", type=Path, help="write 12 pictures and their maps to this file")
    args = parser.parse_args()
    for number, seed in enumerate(args.seeds):
        model = train(args.steps, seed)
        right, top, mass = located(model, seed=1000 + seed)
        print(f"{args.steps} steps, seed {seed}; of 100 new pictures: {right} right, "
              f"maximum on the object {top}, most of the map on it {mass}", flush=True)  # fmt: skip
        if args.sheet and number == 0:
            write_sheet(model, args.sheet)


if __name__ == "__main__":
    main()
