"""Record a file that Lucid writes and PyTorch reads: ``python -m tests.reference.record_written``, with PyTorch.

PyTorch loads it with ``weights_only=True`` and has to find the same values, dtypes, strides and shared storages; then
the bytes are kept, and the tests compare with them what Lucid writes today.
"""

import tempfile
from pathlib import Path

from lucid.serialization import save_pytorch
from tests.serialization.written import BYTES, example


def main():
    import torch

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "written.pth"
        save_pytorch(example(), path)
        found = torch.load(path, weights_only=True)
        assert list(found) == list(example())
        for name, value in example().items():
            same(torch, name, found[name], value)
        assert found["row"].untyped_storage().data_ptr() == found["matrix"].untyped_storage().data_ptr()
        assert found["transposed"].stride() == (1, 4) and found["tied"][0] is found["tied"][1]
        assert isinstance(found["parameter"], torch.nn.Parameter) and found["parameter"].requires_grad
        BYTES.write_bytes(path.read_bytes())
    print(f"PyTorch {torch.__version__} reads {BYTES}")


def same(torch, name, found, value):
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        assert str(found.dtype).rpartition(".")[2] == str(value.dtype).rpartition(".")[2].rstrip("_"), name
        assert tuple(found.shape) == tuple(value.shape), name
        assert found.detach().to(torch.complex128).tolist() == value.detach().to("complex64").tolist(), name
    elif isinstance(value, dict):
        assert type(found) is type(value) and list(found) == list(value), name
        for key, one in value.items():
            same(torch, f"{name}.{key}", found[key], one)
    elif isinstance(value, list | tuple):
        assert type(found) is type(value) and len(found) == len(value), name
        for number, one in enumerate(value):
            same(torch, f"{name}[{number}]", found[number], one)
    elif type(value).__name__ == "Dtype":
        assert str(found).rpartition(".")[2] == str(value).rpartition(".")[2], name
    elif type(value).__name__ == "device":
        assert str(found) == str(value), name
    else:
        assert type(found) is type(value) and found == value, name


if __name__ == "__main__":
    main()
