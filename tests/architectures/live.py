"""Compare Lucid with the installed PyTorch, element by element: ``python -m tests.architectures.live [PATTERN]``.

PATTERN is a regular expression that names of architectures contain. Needs PyTorch. Where torchvision and timm are
installed, their models are compared too: "torchvision swin", "timm convnext_atto".
"""

import re
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec

import torch

import lucid
from tests.architectures.architecture import largest_noise, run, run_exactly
from tests.architectures.comparison import live_differences
from tests.architectures.table import ARCHITECTURES


def main(pattern: str = "") -> int:
    wrong = 0
    for name, one in ARCHITECTURES.items():
        if re.search(pattern, name):
            start = time.perf_counter()
            exact = run_exactly(torch, one)
            differences = live_differences(run(lucid, one), exact, largest_noise(torch, one, exact))
            wrong += bool(differences)
            print(f"{name}: {len(differences)} differences, {time.perf_counter() - start:.1f} s", flush=True)
            for line in differences[:10]:
                print(f"    {line}")
    if find_spec("torchvision") or find_spec("timm"):
        with tempfile.TemporaryDirectory() as folder:
            for library in ("pytorch", "lucid"):
                command = [sys.executable, "-m", "tests.architectures.installed", library, f"{folder}/results.npz"]
                wrong += subprocess.run([*command, pattern]).returncode
    return wrong


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(*sys.argv[1:]))
