"""lucid.load detects the format by content."""

import shutil

import pytest

import lucid
from tests.reference.pth_description import FOLDER


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors", ".anything", ""])
def test_the_file_name_does_not_matter(tmp_path, suffix):
    shutil.copy(FOLDER / "tensor.pth", tmp_path / f"a{suffix}")
    assert lucid.load(tmp_path / f"a{suffix}").tolist() == [0, 1, 2]
    lucid.save({"w": lucid.arange(2)}, tmp_path / "b.safetensors")
    (tmp_path / "b.safetensors").replace(tmp_path / f"b{suffix}")
    assert lucid.load(tmp_path / f"b{suffix}")["w"].tolist() == [0, 1]


def test_a_safetensors_header_may_start_like_a_pickle(tmp_path):
    """The file starts with the length of the header: 0x280 bytes are b"\\x80\\x02", the first bytes of a pickle."""
    path = tmp_path / "w.safetensors"
    tensors = {"w": lucid.arange(2)}
    for padding in range(400, 640):
        lucid.save(tensors, path, {"padding": "x" * padding})
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    else:
        pytest.fail("no header of 640 bytes")
    assert lucid.load(path)["w"].tolist() == [0, 1]


def test_the_start_of_an_unknown_file_is_shown(tmp_path):
    path = tmp_path / "x.pth"
    path.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(
        ValueError, match="neither a zip archive nor a pickle; it starts with b'version https://git-lfs.github'"
    ):
        lucid.load(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="x.pth cannot be read as a PyTorch file: .* it is empty"):
        lucid.load(path)


@pytest.mark.parametrize(
    ("name", "fault"), [("x.safetensors", "safetensors"), ("x.pth", "PyTorch"), ("x", "safetensors")]
)
def test_the_file_name_selects_the_error_for_unknown_formats(tmp_path, name, fault):
    (tmp_path / name).write_bytes(b"neither")
    with pytest.raises(ValueError, match=fault):
        lucid.load(tmp_path / name)
