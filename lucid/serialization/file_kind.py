"""Names for files that are not what they were taken for, by their first bytes."""

HEAD_SIZE = 512
_STARTS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself; download it with git lfs pull",
    b"\x1f\x8b": "is compressed with gzip; unpack it first, e.g. with gunzip or tar -xzf",
    b"BZh": "is compressed with bzip2; unpack it first",
    b"\xfd7zXZ": "is compressed with xz; unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd; unpack it first",
    b"\x89HDF": "is an HDF5 file, as Keras writes; it holds no weights of PyTorch",
    b"\x93NUMPY": "is a NumPy array (.npy); read it with numpy.load",
    b"GGUF": "is a GGUF file, which is not supported",
    b"PK\x03\x04": "is a zip archive",
    b"PK\x05\x06": "is an empty zip archive",
    b"\x80": "is a pickle",
}


def describe_start(head: bytes) -> str:
    """What a file with these first ``HEAD_SIZE`` bytes is, such as ``is a JSON file``."""
    if not head:
        return "is empty"
    if not any(head):
        return "starts with zeros; the download was probably interrupted"
    for start, description in _STARTS.items():
        if head.startswith(start):
            return description
    if head[257:262] == b"ustar":
        return "is a tar archive; unpack it first"
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, not a download"
    if text.startswith((b"{", b"[")):
        return "is a JSON file, which holds no weights"
    return f"starts with {head[:30]!r}"
