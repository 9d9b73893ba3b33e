"""Run the programs of other repositories, unedited, on tiny data made here.

::

    git clone https://github.com/pytorch/examples
    git clone https://github.com/karpathy/nanoGPT
    git clone https://github.com/facebookresearch/ConvNeXt
    pip install --no-deps timm torchvision && pip install pyyaml huggingface_hub safetensors pillow
    python -m tests.torch_scripts.real --examples examples --nanogpt nanoGPT --convnext ConvNeXt

torchvision and timm must be able to do without PyTorch, hence ``--no-deps``. The authors' ConvNeXt wants timm 0.4.12:
``pip install --no-deps --target old timm==0.4.12``, and ``--old-timm old``.
"""

import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]


def make_data(folder):
    """MNIST's files with 256 random digits, a folder of 20 photos, a text of 50 words, and characters as integers."""
    rng = np.random.default_rng(0)
    raw = folder / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 256), ("t10k", 64)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, count, 28, 28) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + labels.tobytes())
    for part in ("train", "val"):
        for name in ("ant", "bee", "cat", "dog", "elk"):
            (folder / "photos" / part / name).mkdir(parents=True)
            for number in range(2):
                photo = Image.fromarray(rng.integers(0, 256, (80, 96, 3), dtype=np.uint8))
                photo.save(folder / "photos" / part / name / f"{number}.jpg")
    text = folder / "wikitext-2"
    text.mkdir()
    words = [f"w{number}" for number in range(50)]
    for part, count in (("train", 200), ("valid", 40), ("test", 40)):
        (text / f"{part}.txt").write_text("\n".join(" ".join(rng.choice(words, 12)) for _ in range(count)) + "\n")
    characters = folder / "tiny"
    characters.mkdir()
    for part in ("train", "val"):
        (np.arange(2000) % 61).astype(np.uint16).tofile(characters / f"{part}.bin")
    (folder / "run").mkdir()


def programs(given, data):
    """(name, folder of the program, arguments) of each."""
    if given.examples:
        examples = given.examples.resolve()
        yield "mnist", examples / "mnist", ["main.py", "--epochs=1", "--batch-size=32", "--dry-run", "--save-model"]
        yield "vae", examples / "vae", ["main.py", "--epochs=1", "--batch-size=32"]
        sizes = ["--batchSize=4", "--ngf=8", "--ndf=8", "--niter=1", "--dry-run", "--workers=1"]
        yield "dcgan", examples / "dcgan", ["main.py", "--dataset=fake", *sizes, f"--outf={data}/run"]
        small = ["--emsize=16", "--nhid=16", "--nlayers=1", "--batch_size=8", "--bptt=16", "--epochs=1"]
        for kind in ("LSTM", "Transformer"):
            arguments = [f"--data={data}/wikitext-2", f"--model={kind}", *small, f"--save={data}/run/model.pt"]
            yield f"word_language_model {kind}", examples / "word_language_model", ["main.py", *arguments]
        resnet = ["-a", "resnet18", "--epochs=1", "-b", "4", "-j", "1", "-p", "1"]
        yield "imagenet", examples / "imagenet", ["main.py", *resnet, f"{data}/photos"]
    if given.nanogpt:
        sizes = ["--block_size=32", "--batch_size=4", "--n_layer=2", "--n_head=2", "--n_embd=32", "--dropout=0.0"]
        steps = ["--max_iters=6", "--lr_decay_iters=6", "--eval_interval=3", "--eval_iters=2", "--warmup_iters=2"]
        other = [f"--dataset={data}/tiny", f"--out_dir={data}/run", "--device=cpu", "--gradient_accumulation_steps=2"]
        for compiled in (False, True):
            arguments = [*sizes, *steps, *other, f"--compile={compiled}"]
            yield f"nanoGPT compile={compiled}", given.nanogpt.resolve(), ["train.py", *arguments]
    if given.convnext:
        where = [f"--data_path={data}/photos/train", f"--eval_data_path={data}/photos/val", "--data_set=image_folder"]
        sizes = ["--nb_classes=5", "--batch_size=2", "--epochs=1", "--warmup_epochs=0", "--input_size=64"]
        other = [
            "--device=cpu",
            "--num_workers=1",
            "--model_ema=true",
            "--model_ema_eval=true",
            "--mixup=0",  # timm 0.4.12 mixes labels on "cuda" only
            "--cutmix=0",
            f"--output_dir={data}/run",
        ]
        yield "ConvNeXt", given.convnext.resolve(), ["main.py", "--model=convnext_tiny", *where, *sizes, *other]


def main():
    parser = argparse.ArgumentParser()
    for name in ("examples", "nanogpt", "convnext", "old-timm"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--only", default="", help="run programs whose name contains this")
    given = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        make_data(data)
        for title, folder, arguments in programs(given, data):
            if given.only not in title:
                continue
            path = [str(given.old_timm.resolve())] if given.old_timm and title == "ConvNeXt" else []
            environment = os.environ | {"PYTHONPATH": os.pathsep.join([*path, str(ROOT)])}
            start = time.monotonic()
            (data / "run" / "results").mkdir(exist_ok=True)
            command = [sys.executable, "-m", "lucid.torch", str(folder / arguments[0]), *arguments[1:]]
            # In a folder beside ``data``: the examples look for ../data.
            where = data / "run" if title.partition(" ")[0] in ("mnist", "vae", "dcgan") else folder
            done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
            lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or [""]
            result = "ran" if done.returncode == 0 else "FAILED"
            print(f"{title}: {result} in {time.monotonic() - start:.0f} s: {lines[-1]}", flush=True)
            if done.returncode:
                failed.append(title)
                print("\n".join(lines[-12:]), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
