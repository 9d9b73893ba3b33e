"""Classify photos with a published ConvNeXt, or with a model of your own.

    python examples/classify_photo.py cat.jpg dog.jpg                          # ConvNeXt-T, downloaded the first time
    python examples/classify_photo.py cat.jpg --model runs/photos.safetensors  # from examples/finetune_photos.py
    python examples/classify_photo.py digit.png --model runs/digits            # from examples/train_cifar10.py

Prints the five most probable classes of every photo. Needs pip install "lucid-mlx[hub,vision]". ``lucid classify`` also
takes folders, skips files that cannot be read, and draws a contact sheet.
"""

import argparse

import lucid
from lucid import data, models


@lucid.no_grad()
def classify(model: lucid.nn.Module, path: str) -> list[tuple[str, float]]:
    """The five most probable classes and their probabilities."""
    image = data.open_image(path)  # EXIF orientation applied, transparent areas white
    if model.in_chans == 1:
        image = image.convert("L")
    pixels = model.preprocessing([image])[:, : model.in_chans]  # (1, C, H, W)
    probabilities, classes = model(pixels).softmax(dim=1)[0].topk(min(5, len(model.class_names)))
    return [(model.class_names[k], p) for k, p in zip(classes.tolist(), probabilities.tolist(), strict=True)]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Classify photos.")
    parser.add_argument("photos", nargs="+", help="image files")
    parser.add_argument(
        "--model", default="convnext_tiny.fb_in1k", help="a name, a file or a run folder (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    model = models.from_checkpoint(args.model)
    if model.task != "classification":  # of labels or numbers, which need no softmax
        parser.error(f"{args.model} is for {model.task}; lucid classify shows what it predicts")
    for path in args.photos:
        print(path)
        for name, probability in classify(model, path):
            print(f"{probability:8.2%}  {name}")


if __name__ == "__main__":
    main()
