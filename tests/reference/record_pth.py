"""Record checkpoints as ``torch.save`` writes them, and what they hold.

pip install torch && python -m tests.reference.record_pth
"""

import json
import zipfile
from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from tests.reference.pth_description import FOLDER, described


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 3))


def training() -> dict[str, Any]:
    """A checkpoint as training scripts write it."""
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 2, 5])
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    scheduler.step()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
        "scaler": {"scale": 65536.0, "growth_factor": 2.0, "_growth_tracker": 0},
        "epoch": 7,
        "max_accuracy": 81.25,
        "rng_state": torch.arange(16, dtype=torch.uint8),
    }


def dtypes() -> dict[str, torch.Tensor]:
    values = torch.tensor([[0.0, -1.5, 3.1415926], [1e-8, 60000.0, -0.0]])
    names = "float16 bfloat16 float32 float64 complex64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool"
    counts = torch.tensor([[0, 1, 2], [3, 4, 100]])
    found = {
        name: (values if "float" in name else counts).to(getattr(torch, name))
        for name in names.split()
        if name != "bool"
    }
    found["complex64"] = torch.tensor([1 + 2j, -3j], dtype=torch.complex64)
    found["int64"] = torch.tensor([2**62 + 1, -(2**63)])
    found["bool"] = torch.tensor([True, False, True])
    return found


def shared() -> dict[str, torch.Tensor]:
    base = torch.arange(12.0)
    return {
        "base": base,
        "tied": base,
        "middle": base[3:9],
        "row": base.view(3, 4)[1],
        "overlapping": base.as_strided((4, 3), (1, 1), 2),
    }


def strided() -> dict[str, torch.Tensor]:
    base = torch.arange(24.0).reshape(2, 3, 4)
    return {
        "transposed": base.transpose(0, 2),
        "every_other": base[:, ::2, 1::2],
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 5),
        "channels_last": torch.arange(48.0).reshape(2, 3, 2, 4).to(memory_format=torch.channels_last),
        "one": base[1:, 2:, 3:],
        "scalar": base[1, 2, 3],
        "empty": base[:, 3:],
        "empty_too": torch.zeros(0),
    }


def containers() -> dict[str, Any]:
    names = ["a", "ü", "日本"]
    return {
        "names": names,
        "again": names,
        "nested": [(1, (2.5, None)), {"deep": {"deeper": [True, False]}}, [], (), {}, OrderedDict(x=1)],
        "integers": [0, 255, 256, 65535, 65536, -1, 2**31, 2**40, -(2**70)],
        "floats": [0.1, float("inf"), -1e300],
        "set": {1, 2, 3},
        "complex": 1.5 - 2j,
        3: "an integer as key",
        "size": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        "device": torch.device("cuda", 1),
        "long": "x" * 300,
    }


def refused() -> dict[str, tuple[Any, str]]:
    """Objects that are neither tensors nor plain containers, and what the error names."""
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    inside = ([],)
    inside[0].append(inside)
    return {
        "module": (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        "sparse": (torch.eye(2).to_sparse(), "torch._utils._rebuild_sparse_tensor"),
        "conjugated": (torch.zeros(2, dtype=torch.complex64).conj(), "conjugated"),
        "storage": (torch.arange(3).untyped_storage(), "a bare storage"),
        "cyclic_list": (cyclic, "a list that contains itself"),
        "cyclic_tuple": (inside, "a tuple that contains itself"),
    }


def main() -> None:
    torch.manual_seed(0)
    plain = network().state_dict()
    average = {name: tensor + 1 for name, tensor in plain.items()}
    parameter = nn.Parameter(torch.randn(2, 2))
    cases: dict[str, tuple[Any, dict[str, Any]]] = {
        "plain": (plain, {}),
        "wrapped": ({"model": plain}, {}),
        "ema": ({"state_dict": plain, "state_dict_ema": average, "arch": "tiny"}, {}),
        "parameters": ({"w": parameter, "again": parameter, "of": dict(network().named_parameters())}, {}),
        "training": (training(), {}),
        "dtypes": (dtypes(), {}),
        "shared": (shared(), {}),
        "strided": (strided(), {}),
        "containers": (containers(), {}),
        "tensor": (torch.arange(3), {}),
    }
    legacy = {"_use_new_zipfile_serialization": False}
    cases |= {
        f"{name}_legacy": (cases[name][0], legacy) for name in ("plain", "training", "dtypes", "shared", "strided")
    }
    cases |= {f"containers_protocol_{n}": (cases["containers"][0], {"pickle_protocol": n}) for n in (4, 5)}
    cases["training_protocol_4_legacy"] = (cases["training"][0], {**legacy, "pickle_protocol": 4})
    FOLDER.mkdir(exist_ok=True)
    for name, (value, options) in cases.items():
        torch.save(value, FOLDER / f"{name}.pth", **options)
    # PyTorch 1.6 wrote fewer members, and called the folder always the same.
    with zipfile.ZipFile(FOLDER / "plain.pth") as new, zipfile.ZipFile(FOLDER / "plain_1_6.pth", "w") as old:
        for member in new.infolist():
            name = member.filename.partition("/")[2]
            if name in ("data.pkl", "version") or name.startswith("data/"):
                old.writestr(f"archive/{name}", new.read(member))
    cases["plain_1_6"] = cases["plain"]
    expected = {name: described(value) for name, (value, _) in cases.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(expected.items()))
    (FOLDER / "expected.json").write_text(f"{{\n{lines}\n}}\n")
    (FOLDER / "refused").mkdir(exist_ok=True)
    for name, (value, _) in refused().items():
        torch.save(value, FOLDER / "refused" / f"{name}.pth")
    culprits = {name: culprit for name, (_, culprit) in refused().items()}
    (FOLDER / "refused" / "culprits.json").write_text(json.dumps(culprits, indent=1) + "\n")
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    print(f"{FOLDER.name}: {len(cases)} checkpoints, {size // 1000} kB, torch {torch.__version__}")


if __name__ == "__main__":
    main()
