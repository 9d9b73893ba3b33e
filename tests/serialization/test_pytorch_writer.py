"""Files for PyTorch: the bytes that PyTorch was seen to read, the same values back, and nothing that runs code."""

import argparse
import datetime
import io
import pickletools
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.serialization import Placeholder, save_pytorch
from tests.serialization.test_save import same
from tests.serialization.written import BYTES, example


def test_the_bytes_are_those_that_pytorch_has_read(tmp_path):
    save_pytorch(example(), tmp_path / "written.pth")
    assert (tmp_path / "written.pth").read_bytes() == BYTES.read_bytes()


def test_lucid_reads_what_it_writes():
    found, wanted = lucid.load(BYTES), example()
    assert list(found) == list(wanted)
    assert found["device"] == "cpu" and found["dtype"] == lucid.bfloat16
    assert found["tied"][0] is found["tied"][1]
    for name in set(wanted) - {"device", "dtype"}:
        assert same(found[name], wanted[name]), name


def test_values_that_are_shared_stand_in_the_file_once(tmp_path):
    model = nn.Sequential(nn.Linear(100, 100, bias=False), nn.Linear(100, 100, bias=False))
    model[1].weight = model[0].weight
    save_pytorch(model.state_dict(), tmp_path / "tied.pt")
    assert 40_000 < (tmp_path / "tied.pt").stat().st_size < 45_000


def test_a_view_alone_does_not_take_its_base_along(tmp_path):
    base = lucid.ones(10_000)
    save_pytorch({"part": base[:3]}, tmp_path / "part.pt")
    assert (tmp_path / "part.pt").stat().st_size < 3000


def test_values_are_aligned_for_memory_mapping():
    data = BYTES.read_bytes()
    with zipfile.ZipFile(BYTES) as file:
        for member in file.infolist():
            start = member.header_offset
            names, extra = (int.from_bytes(data[start + at : start + at + 2], "little") for at in (26, 28))
            assert (start + 30 + names + extra) % 64 == 0, member.filename


def test_the_pickle_names_nothing_but_pytorch_s_and_python_s_containers():
    with zipfile.ZipFile(BYTES) as file:
        code = file.read("written/data.pkl")
    names = {argument for instruction, argument, _ in pickletools.genops(code) if instruction.name == "GLOBAL"}
    kinds = {name for name in names if not name.startswith("torch ")}
    assert kinds == {
        "_codecs encode", "__builtin__ complex", "__builtin__ set", "collections Counter", "collections OrderedDict",
        "torch._utils _rebuild_parameter", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor_v3",
        "torch.storage UntypedStorage",
    }  # fmt: skip


Pair = namedtuple("Pair", "a b")


class Loud:
    def __reduce__(self):
        raise AssertionError("the object was asked how to be pickled")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, Loud()]}, r"save: cannot save a\[1\] of type tests\.\S*Loud; supported are tensors"),
        ({"model": nn.Linear(1, 1)}, r"cannot save model of type lucid.nn.linear.Linear; .*save its state_dict\(\)"),
        ({3: np.ones(2)}, r"cannot save \[3\] of type numpy.ndarray; .*save lucid.tensor\(array\)"),
        ([Pair(1, 2)], r"cannot save \[0\] of type tests\.\S*Pair; .*convert it to a plain tuple"),
        (datetime.date(2020, 1, 1), "cannot save it of type datetime.date"),
        (len, "cannot save it of type builtin_function_or_method"),
        ({"k": {(1, object()): 2}}, "of type object"),
    ],
)
def test_other_objects_are_refused_by_name(tmp_path, value, message):
    with pytest.raises(TypeError, match=message):
        save_pytorch(value, tmp_path / "x.pt")
    assert not list(tmp_path.iterdir())


def test_containers_in_themselves_are_refused(tmp_path):
    inner = []
    inner.append({"again": inner})
    with pytest.raises(ValueError, match=r"save: \[0\].again contains itself"):
        save_pytorch(inner, tmp_path / "x.pt")
    deep = []
    for _ in range(101):
        deep = [deep]
    with pytest.raises(ValueError, match="nested deeper than 100"):
        save_pytorch(deep, tmp_path / "x.pt")


def test_the_options_of_a_program_are_written_and_read_as_a_placeholder():
    file = io.BytesIO()
    save_pytorch({"args": argparse.Namespace(lr=0.1), "w": lucid.ones(1)}, file)
    found = lucid.load(io.BytesIO(file.getvalue()))
    assert isinstance(found["args"], Placeholder) and found["args"].name == "argparse.Namespace"


def test_errors_of_the_disk_leave_the_old_file(tmp_path):
    save_pytorch([1], tmp_path / "x.pt")
    with pytest.raises(OSError, match=r"save: .*x.pt could not be written"):
        save_pytorch([1], Path(tmp_path / "none" / "x.pt"))
    assert lucid.load(tmp_path / "x.pt") == [1]
