"""Pickles, compared with Python's own reader, in which nothing can be called."""

import io
import pickle
import pickletools
import random
import zipfile
from collections import OrderedDict
from typing import Any, ClassVar

from lucid.serialization.pickle_reader import Call, Global, Persistent, Unknown, full_name, read_pickle
from lucid.serialization.pytorch_objects import NAMES
from tests.reference.pth_description import FOLDER
from tests.serialization.writing import pickled, tensor, text, typed_tensor

_MAX_COMPARED = 20_000  # nodes
_OPCODES = (
    b"\x80\x95N\x88\x89KMJ\x8a\x8bG\x8cX\x8d)\x85\x86\x87(t]ae}su\x8f\x90qr\x94hjc\x93QRb\x81\x92BC\x8e\x9601\x91.io"
)
_SNIPPETS = (
    b"cos\nsystem\n" + text("true") + b"\x85R", b"cbuiltins\neval\n" + text("1") + b"\x85R",
    b"cargparse\nNamespace\n)\x81}b", b"ccollections\nOrderedDict\n)R", tensor(), b"h\x00", b"q\x01h\x01",
    b"}(" + text("a") + b"K\x01u", b"](K\x01K\x02e", b"ccollections\ndeque\n)R", b"(K\x01K\x02t", b"(K\x01\x91",
    b"C\x02ab", b"K\x01K\x02\x860", text("b") + b"K\x05", b"]r\x05\x00\x00\x00j\x05\x00\x00\x00",
    b"\x8f(K\x01K\x07\x90", b"ca\nDict\n)\x81" + text("k") + b"Ns", b"(K\x011", typed_tensor(),
    b"ctorch._utils\n_rebuild_parameter_with_state\n(" + tensor() + b"\x88N}tR", b"G\x7f\xf8\x00\x00\x00\x00\x00\x00",
)  # fmt: skip


def seeds() -> list[bytes]:
    found = [pickled(b"}" + text("w") + tensor() + b"s")]
    for path in sorted(FOLDER.rglob("*.pth")):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                found += [archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")]
    plain = {"a": [1, 2.5, None, True], "b": (b"bytes", {1, 2}), "c": {1: "ü" * 9, (1, 2): -(2**70)}}
    return found + [pickle.dumps(plain, protocol) for protocol in (2, 3, 4, 5)]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Insert, remove and repeat whole instructions."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        starts = [*_starts(data), len(data)]
        place = rng.choice(starts)
        kind = rng.random()
        if kind < 0.6:
            inserted = rng.choice(_SNIPPETS) + rng.choice((b"", b"0", b"0", b"0", b"a", b"s"))
        elif kind < 0.8:
            inserted = bytes(rng.choices(_OPCODES, k=rng.randint(1, 3)))
        else:
            first, last = sorted(rng.choices(starts, k=2))
            inserted = data[first : min(last, first + 60)]
        removed = rng.choice(starts) if rng.random() < 0.15 else place
        data = data[:place] + inserted + data[max(place, min(removed, place + 20)) :]
    return data


def _starts(data: bytes) -> list[int]:
    """Where instructions start, up to the first that is malformed."""
    found = []
    try:
        for _, _, place in pickletools.genops(data):
            found.append(place)
    except ValueError:
        pass
    return found


def check(data: bytes) -> None:
    try:
        value, _ = read_pickle(io.BytesIO(data), NAMES)
    except ValueError:
        return
    ours = _described(value)
    try:
        theirs = _described(_Reference(io.BytesIO(data)).load())
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
    ):  # wrong lengths of frames, and keys that are not hashable
        return
    assert ours is None or theirs is None or ours == theirs, f"read {ours[:500]}, but Python reads {theirs[:500]}"


class _Object:
    """Any object in the reference: its name, and the items added to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.items: list[Any] | dict[Any, Any] | None = None

    def extend(self, items: list[Any]) -> None:
        if self.items is None:
            self.items = []
        if isinstance(self.items, list):
            self.items.extend(items)

    def append(self, item: Any) -> None:
        self.extend([item])

    def add(self, item: Any) -> None:
        hash(item)

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.items is None:
            self.items = {}
        if isinstance(self.items, dict):
            self.items[key] = value


class _Reference(pickle._Unpickler):  # type: ignore[name-defined]
    """Python's reader, except for the instructions that import and call."""

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

    def find_class(self, module: str, name: str) -> _Object:
        return _Object(full_name(module, name))

    def persistent_load(self, identifier: Any) -> Any:
        match identifier:
            case ("module", _Object(name=name) as kind, *_) if name not in (*NAMES, "collections.OrderedDict"):
                return kind
        return _Object("persistent")

    def _call(self, arguments: int) -> None:
        del self.stack[-arguments:]
        made = _Object(self.stack.pop().name)
        if made.name == "collections.defaultdict":
            made.items = {}
        elif made.name == "collections.deque":
            made.items = []
        self.stack.append(OrderedDict() if made.name == "collections.OrderedDict" else made)

    def _frozen_set(self) -> None:
        self.pop_mark()
        self.stack.append(_Object("builtins.frozenset"))

    dispatch[pickle.REDUCE[0]] = lambda self: self._call(1)
    dispatch[pickle.NEWOBJ[0]] = lambda self: self._call(1)
    dispatch[pickle.NEWOBJ_EX[0]] = lambda self: self._call(2)
    dispatch[pickle.BUILD[0]] = lambda self: self.stack.pop()
    dispatch[pickle.FROZENSET[0]] = _frozen_set


def _described(root: Any) -> str | None:
    """The value as text, in which both sides have the same words. Shared and cyclic values are followed to a limit.

    None if a key was replaced, because then equal keys are no longer one.
    """
    words: list[str] = []
    left: list[Any] = [root]
    while left and len(words) < _MAX_COMPARED:
        value = left.pop()
        if isinstance(value, Persistent):
            words.append("persistent")
        elif isinstance(value, Call | Global | Unknown | _Object):
            words.append(value.name)
            items = getattr(value, "items", None)
            left += [] if items is None else [items]
        elif isinstance(value, dict):
            if any(isinstance(key, Unknown) for key in value):
                return None
            words += [f"{type(value).__name__} of {len(value)}", *map(repr, value)]
            left += value.values()
        elif isinstance(value, list | tuple):
            words.append(f"{type(value).__name__} of {len(value)}")
            left += value
        elif isinstance(value, set):
            if any(isinstance(member, Unknown) for member in value):
                return None
            words += [f"set of {len(value)}", *sorted(map(repr, value))]
        else:
            words.append(repr(bytes(value) if isinstance(value, bytearray) else value))
    return " ".join(words)
