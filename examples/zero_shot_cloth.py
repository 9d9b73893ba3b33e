"""Zero-shot classification in miniature: a network learns words, and classifies drawn cloth by texts made of them.

    python examples/zero_shot_cloth.py --out cloth
    lucid classify cloth/photos --model cloth/tower.safetensors --text-embeddings cloth/texts.safetensors
    lucid classify cloth/photos --model cloth/tower.safetensors --text-embeddings cloth/patterns.safetensors

The embedding of a word is an axis, and that of a text such as "red dots" the sum of its words. This stands in for
CLIP's text tower, which is learned. The image tower is trained as CLIP's is, to make the embedding of a picture most
similar to that of its text; here each picture has two texts of one word, its color and its pattern. The tower then
classifies by any list of texts: the 12 pairs of a color and a pattern, which were not classes during training, or the
patterns alone. The folder has the tower, both lists, and pictures that were not used for training.

Prints the loss, and the accuracy for the 12 texts (guessing: 8 %). Needs pip install "lucid-mlx[vision]".
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import lucid
import lucid.nn.functional as F
from lucid import models, optim
from lucid.evaluation import TextEmbeddings, ZeroShotClassifier

COLORS = {"red": (205, 50, 45), "yellow": (240, 190, 40), "green": (60, 150, 75), "blue": (50, 95, 190)}
PATTERNS = ("stripes", "dots", "checks")
WORDS = (*COLORS, *PATTERNS)
TEXTS = [f"{color} {pattern}" for color in COLORS for pattern in PATTERNS]
SIDE = 128  # of pictures, in px
LOGIT_SCALE = 10.0


def embeddings(texts: list[str]) -> TextEmbeddings:
    """The sum of the words of each text, (texts, words)."""
    values = np.array([[float(word in text.split()) for word in WORDS] for text in texts], np.float32)
    return TextEmbeddings(values, texts, LOGIT_SCALE)


def draw(rng: np.random.Generator, text: str) -> Image.Image:
    """Light cloth with a pattern of any angle and size."""
    color, pattern = text.split()
    y, x = np.mgrid[:SIDE, :SIDE]
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.25, 0.4) * SIDE
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    u, v = ((w / period + rng.uniform()) % 1 - 0.5 for w in (u, v))  # within a repeat, -0.5 to 0.5
    edge = np.minimum(0.25 - abs(abs(u) - 0.25), 0.25 - abs(abs(v) - 0.25))  # the distance to one of a check
    inside = {  # the distance to the edge of the pattern, positive inside
        "stripes": 0.25 - abs(u),
        "dots": 0.36 - np.hypot(u, v),
        "checks": np.sign(u * v) * edge,
    }[pattern]
    share = (inside * period + 0.5).clip(0, 1)[..., None]  # smooth edges
    ink = np.array(COLORS[color]) + rng.uniform(-20, 20, 3)
    cloth = rng.uniform(215, 250) + rng.uniform(-8, 8, 3)
    return Image.fromarray(np.rint(share * ink + (1 - share) * cloth).clip(0, 255).astype(np.uint8))


def train(
    steps: int, count: int, transform: models.ImageTransform, seed: int = 0, batch_size: int = 32, lr: float = 6e-3
) -> models.ConvNeXt:
    """An image tower, trained on ``count`` pictures with their words."""
    lucid.manual_seed(seed)
    rng = np.random.default_rng(seed)
    numbers = rng.integers(len(TEXTS), size=count)
    images = transform([draw(rng, TEXTS[number]) for number in numbers])  # (count, 3, 32, 32)
    tower = models.ConvNeXt(len(WORDS), (1, 1), (32, 64), layer_scale_init=0, patch_size=2)
    colors, patterns = (ZeroShotClassifier(tower, embeddings(list(words))) for words in (COLORS, PATTERNS))
    optimizer = optim.AdamW(tower.parameters(), lr=lr, weight_decay=0.05)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for step in range(1, steps + 1):
        chosen = rng.integers(count, size=batch_size)
        color, pattern = (lucid.tensor(part) for part in divmod(numbers[chosen], len(PATTERNS)))
        batch = images[lucid.tensor(chosen)]
        loss = F.cross_entropy(colors(batch), color) + F.cross_entropy(patterns(batch), pattern)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    return tower.eval()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train an image tower on drawn cloth for zero-shot classification.")
    parser.add_argument("--out", type=Path, default=Path("cloth"), help="folder to write (default: cloth)")
    parser.add_argument("--steps", type=int, default=300, help="training steps (default: 300)")
    parser.add_argument("--images", type=int, default=1200, help="training images (default: 1200)")
    args = parser.parse_args(argv)
    transform = models.ImageTransform(32, 32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    tower = train(args.steps, args.images, transform)

    rng = np.random.default_rng(1)  # other pictures than those for training
    numbers = rng.integers(len(TEXTS), size=400)
    pictures = [draw(rng, TEXTS[number]) for number in numbers]
    with lucid.no_grad():
        found = ZeroShotClassifier(tower, embeddings(TEXTS))(transform(pictures)).argmax(dim=1).numpy()
    right = (found == numbers).mean()
    print(f"{right:.1%} of {len(numbers)} new pictures are matched to the right one of {len(TEXTS)} texts")

    (args.out / "photos").mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures[:8], 1):
        picture.save(args.out / "photos" / f"{number}.png")
    models.save_checkpoint(tower, args.out / "tower.safetensors", class_names=[], preprocessing=transform)
    embeddings(TEXTS).save(args.out / "texts.safetensors")
    embeddings(list(PATTERNS)).save(args.out / "patterns.safetensors")


if __name__ == "__main__":
    main()
