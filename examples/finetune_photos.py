"""Fine-tune a ConvNeXt on a folder of photos with one subfolder per class.

    python examples/finetune_photos.py photos                                    # ConvNeXt-T, downloaded the first time
    python examples/finetune_photos.py photos --model convnext_atto.d2_in1k --epochs 10
    python examples/finetune_photos.py photos --model convnext_atto --random --image-size 96 --lr 1e-3

Every fifth photo of a class is held out. Prints the loss and the accuracy on these for every epoch, and writes the best
weights to runs/photos.safetensors with class names and preprocessing: ``classify_photo.py --model`` takes the file.
Needs pip install "lucid-mlx[hub,vision]". ``lucid finetune`` adds stronger augmentation, averaged weights, a report,
exact resume, and skips files that cannot be read.
"""

import argparse
import math
import sys
from pathlib import Path

import lucid
import lucid.nn.functional as F
from lucid import data, metrics, models, nn, optim
from lucid.data import augment
from lucid.data.transforms import DecodeImages, RandomResizedCrop


def train(args: argparse.Namespace) -> float:
    """Train, and save whenever the accuracy on the held-out photos rises. Returns the best accuracy."""
    lucid.manual_seed(0)

    # Data: the loader's threads decode the photos and crop them; normalizing and flipping happen on the device.
    photos = data.ImageFolder(args.folder, loader=str)  # samples are (path, class number)
    train_part, test_part = data.stratified_split(photos.targets, 0.2, seed=0)
    if args.random:
        transform = models.ImageTransform(args.image_size or 224, args.image_size or 224)
    else:
        transform = models.transforms_for(args.model, image_size=args.image_size)
    random_crop = RandomResizedCrop(transform.image_size, (0.25, 1.0), interpolation=transform.interpolation)
    train_loader = data.DataLoader(
        data.Subset(photos, train_part), min(args.batch_size, len(train_part)), shuffle=True, drop_last=True, seed=0,
        num_workers=2, batch_transform=DecodeImages(random_crop, short_side=2 * transform.image_size),
    )  # fmt: skip
    center_crop = DecodeImages(lambda image, rng: transform.crop(image), short_side=2 * transform.resize_size)
    test_loader = data.DataLoader(
        data.Subset(photos, test_part), args.batch_size, num_workers=2, batch_transform=center_crop
    )
    normalize = augment.Normalize(transform.mean, transform.std)
    prepare = augment.Compose([augment.RandomHorizontalFlip(), normalize])

    # Model and optimizer: a new classifier, and lower learning rates for earlier layers of a pretrained network.
    model = models.create_model(args.model, pretrained=not args.random, num_classes=len(photos.classes))
    groups = models.param_groups_layer_decay(model, args.lr, weight_decay=0.05, layer_decay=1.0 if args.random else 0.8)
    optimizer = optim.AdamW(groups, lr=args.lr)
    warmup, total = len(train_loader), args.epochs * len(train_loader)
    rise = optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=warmup)
    fall = optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, total - warmup))
    scheduler = optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[warmup])
    train_loss = metrics.MeanMetric()

    def train_step(images: lucid.Tensor, labels: lucid.Tensor) -> None:
        images, labels = prepare(images, labels)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels, label_smoothing=0.1)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        train_loss.update(loss.detach(), len(labels))

    if lucid.get_default_device().type != "cpu":  # run the whole step as one graph
        train_step = lucid.compile(train_step, state=[model, optimizer, train_loss])

    best = -1.0
    for epoch in range(1, args.epochs + 1):
        model.train()
        train_loss.reset()
        for images, labels in train_loader:
            train_step(images, labels)
            scheduler.step()
        if not math.isfinite(train_loss.compute().item()):
            sys.exit(f"Loss became NaN or infinite in epoch {epoch}; try a lower --lr")
        accuracy = evaluate(model, test_loader, normalize)
        print(f"epoch {epoch}: loss {train_loss.compute().item():.3f}, accuracy {accuracy:.2%}", flush=True)
        if accuracy > best:
            best = accuracy
            args.out.parent.mkdir(parents=True, exist_ok=True)
            models.save_checkpoint(model, args.out, class_names=photos.classes, preprocessing=transform)
    return best


@lucid.no_grad()
def evaluate(model: nn.Module, loader: data.DataLoader, normalize: augment.Normalize) -> float:
    """The fraction of photos that are classified correctly."""
    model.eval()
    accuracy = metrics.Accuracy()
    for images, labels in loader:
        accuracy.update(model(normalize(images)), labels)
    return accuracy.compute().item()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Fine-tune a ConvNeXt on a folder of photos.")
    parser.add_argument("folder", type=Path, help="folder with one subfolder of photos per class")
    parser.add_argument("--model", default="convnext_tiny.fb_in1k", help="default: %(default)s")
    parser.add_argument("--random", action="store_true", help="start from random instead of pretrained weights")
    parser.add_argument("--image-size", type=int, metavar="PX", help="default: the model's own")
    parser.add_argument("--epochs", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=5e-4, help="peak learning rate (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/photos.safetensors"), help="default: %(default)s")
    best = train(args := parser.parse_args(argv))
    print(f"{args.out}: {best:.2%} of the held-out photos are classified correctly")


if __name__ == "__main__":
    main()
