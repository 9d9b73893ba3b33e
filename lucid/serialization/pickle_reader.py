"""Reads pickles as data. Nothing is imported, called or executed.

A pickle is a program for a small stack machine. Most instructions build numbers, strings and containers; a few name
something to import (GLOBAL), call it (REDUCE, NEWOBJ) and set its state (BUILD), which is how a pickle runs code. Here
names on the caller's list create ``Global`` and ``Call`` nodes, inert descriptions that the caller interprets. Every
other name, and whatever is called or built with it, is an ``Unknown`` node, which only knows that name.

    b"\\x80\\x02}X\\x01\\x00\\x00\\x00wctorch\\nSize\\nK\\x03\\x85\\x85Rs."   gives   {"w": Call("torch.Size", ((3,),))}
    b"\\x80\\x02cos\\nsystem\\nX\\x02\\x00\\x00\\x00ls\\x85R."            gives   Unknown("os.system")

Supported are the instructions that Python writes for such data in protocols 2 (PyTorch's) to 5. For any input
``read_pickle`` returns or raises ValueError, in time and memory proportional to its size.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, BinaryIO

# Limits per pickle. PyTorch stores tensor data elsewhere: the pickle of ConvNeXt-S (344 tensors) has 55 kB and 13,000
# instructions. A one-byte instruction can create a dictionary, which takes a hundred bytes.
_MAX_BYTES = 1 << 26
_MAX_INSTRUCTIONS = 2_000_000
_MAX_NAME_LENGTH = 256
_MAX_KEY_LENGTH = 4096
_MAX_INTEGER_BYTES = 256
_MAX_KEY_TUPLE = 32
_MAX_OTHER_KEYS = 10_000  # keys other than strings and small integers
_SMALL_INTEGER = 1 << 24
_ORDERED_DICT = "collections.OrderedDict"
_SUBSTITUTES = {"collections.defaultdict": dict, "collections.deque": list}  # known to be containers even when empty


@dataclass(frozen=True, eq=False)
class Global:
    """A global that the pickle would import, such as "torch.FloatStorage"."""

    name: str


@dataclass(frozen=True, eq=False)
class Call:
    """A call that the pickle would make."""

    name: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Persistent:
    """An object outside the pickle with this identifier: a storage."""

    identifier: Any


@dataclass(eq=False)
class Unknown:
    """A global that is not on the caller's list, or an object that a call of it would create.

    ``items`` are those that the pickle adds to the object: a dict if it is a mapping, a list if it is a sequence, and
    None if it adds none. Arguments and state are dropped.
    """

    name: str
    items: dict[Any, Any] | list[Any] | None = None


def read_pickle(stream: BinaryIO, names: Collection[str]) -> tuple[Any, list[Persistent]]:
    """The object that the pickle at the stream's position describes, and the external objects it refers to.

    Afterwards the stream is at the end of the pickle. Containers may be shared or contain themselves, as in the pickle.
    ``names`` are the globals that become ``Global`` and ``Call`` nodes, besides OrderedDict.

    Raises:
        ValueError: the pickle uses an unsupported instruction, is truncated, or is malformed.
    """
    machine = _Machine(stream, names)
    for _ in range(_MAX_INSTRUCTIONS):
        code = machine.read(1)
        if code == _STOP:
            break
        instruction = _INSTRUCTIONS.get(code)
        if instruction is None:
            raise ValueError(f"its pickle uses {_REFUSED.get(code, f'the unknown instruction {code!r}')}")
        instruction(machine)
    else:
        raise ValueError(f"its pickle has more than {_MAX_INSTRUCTIONS:,} instructions")
    value = machine.pop()
    if machine.stack or machine.metastack:
        raise ValueError("its pickle ends with values left over")
    return value, machine.persistent


class _Machine:
    """The stack, the stacks below each mark, and the memo of reused values."""

    def __init__(self, stream: BinaryIO, names: Collection[str]) -> None:
        self.stream = stream
        self.names = names
        self.left = _MAX_BYTES
        self.stack: list[Any] = []
        self.metastack: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.persistent: list[Persistent] = []
        self.keys = KeyChecker()

    def read(self, size: int) -> bytes:
        self.left -= size
        if self.left < 0:
            raise ValueError(f"its pickle, or something in it, is larger than {_MAX_BYTES >> 20} MiB")
        data = self.stream.read(size)
        if len(data) != size:
            raise ValueError("its pickle is truncated")
        return data

    def unsigned(self, size: int) -> int:
        return int.from_bytes(self.read(size), "little")

    def text(self, size_of_length: int) -> str:
        return _decoded(self.read(self.unsigned(size_of_length)))

    def line(self) -> str:
        found = self.stream.readline(_MAX_NAME_LENGTH)
        self.left -= len(found)
        if not found.endswith(b"\n"):
            raise ValueError("its pickle has an unterminated name")
        return _decoded(found[:-1])

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise ValueError("its pickle pops from an empty stack")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        if not self.metastack:
            raise ValueError("its pickle uses a mark that is not set")
        found = self.stack
        self.stack = self.metastack.pop()
        return found

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise ValueError(f"its pickle adds values to an object that is not of type {kind.__name__}")
        return self.stack[-1]

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("its pickle uses a global whose name is not a string")
        full = full_name(module, name)
        self.push(Global(full) if full == _ORDERED_DICT or full in self.names else Unknown(full))

    def memoize(self, index: int) -> None:
        if not self.stack:
            raise ValueError("its pickle memoizes a value from an empty stack")
        self.memo[index] = self.stack[-1]

    def push_memo(self, index: int) -> None:
        if index not in self.memo:
            raise ValueError(f"its pickle uses memo {index}, which is not set")
        self.push(self.memo[index])

    def append(self, items: list[Any]) -> None:
        self.top_or_items(list).extend(items)

    def add(self, items: list[Any]) -> None:
        members = list(map(self.keys.checked, items))
        if self.stack and isinstance(self.stack[-1], Unknown):
            return
        self.top(set).update(members)

    def set_items(self, items: list[Any]) -> None:
        target = self.top_or_items(dict)
        if len(items) % 2:
            raise ValueError("its pickle has a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.keys.checked(key)] = value

    def top_or_items(self, kind: type[list] | type[dict]) -> Any:
        """The list or dict on top of the stack, or the items of an unknown object there."""
        if not self.stack or not isinstance(self.stack[-1], Unknown):
            return self.top(kind)
        unknown = self.stack[-1]
        if unknown.items is None:
            unknown.items = kind()
        return unknown.items if isinstance(unknown.items, kind) else kind()  # of one with both, the first kind

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if isinstance(function, Unknown) and isinstance(arguments, tuple):
            kind = _SUBSTITUTES.get(function.name)
            self.push(Unknown(function.name, kind() if kind else None))
        elif not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise ValueError("its pickle calls something other than a function")
        elif function.name != _ORDERED_DICT:
            self.push(Call(function.name, arguments))
        elif not arguments:
            self.push(OrderedDict())
        else:
            raise ValueError("its pickle creates an OrderedDict as Python 2 does; save it again with a newer PyTorch")

    def new_object(self, parts: int) -> None:
        """An instance of the class below its ``parts``: arguments, and for NEWOBJ_EX also keyword arguments."""
        _, kind = self.pop_many(parts), self.pop()
        if not isinstance(kind, Global | Unknown):
            raise ValueError("its pickle creates an instance of something other than a class")
        self.push(OrderedDict() if kind.name == _ORDERED_DICT else Unknown(kind.name))

    def set_attributes(self) -> None:
        """Drop the state of an object, such as the ``_metadata`` that PyTorch attaches to state dicts."""
        self.pop()
        if not self.stack or not isinstance(self.stack[-1], OrderedDict | Unknown | Call):
            raise ValueError("its pickle sets attributes of something other than an object (instruction BUILD)")

    def push_frozen(self, items: list[Any]) -> None:
        for item in items:
            self.keys.checked(item)
        self.push(Unknown("builtins.frozenset"))

    def pop_or_mark(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_to_mark()

    def push_persistent(self) -> None:
        match self.pop():
            case ("module", Unknown() as kind, *_):  # the class of a module, with its source code
                self.push(kind)
            case identifier:
                self.persistent.append(Persistent(identifier))
                self.push(self.persistent[-1])

    def push_mark(self) -> None:
        self.metastack.append(self.stack)
        self.stack = []

    def check_protocol(self) -> None:
        version = self.unsigned(1)
        if not 2 <= version <= 5:
            raise ValueError(f"its pickle has protocol {version}; 2 to 5 are supported")

    def pop_many(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]


class KeyChecker:
    """Validates the keys of dictionaries and members of sets, to prevent hash collision attacks.

    String hashes are randomized, but numbers and tuples can be chosen so that they collide, which makes every lookup
    linear. Their number is therefore limited.
    """

    def __init__(self) -> None:
        self._others = 0

    def checked(self, key: Any) -> Any:
        """A key to use for ``key``: itself if it is a number, a string or a short tuple of these.

        Tuples must be short, because a pickle may reuse them many times, and flat, because hashing deeply nested tuples
        would overflow the C stack. Other hashable objects are replaced by an ``Unknown``.

        Raises:
            ValueError: the object is not hashable, so Python did not write this pickle, or there are too many keys.
        """
        if isinstance(key, list | dict | set):
            raise ValueError(f"its pickle uses a {type(key).__name__} as a key")
        if isinstance(key, Global | Call | Unknown):
            return Unknown(key.name)
        parts = key if isinstance(key, tuple) else (key,)
        if len(parts) > _MAX_KEY_TUPLE or not all(one is None or isinstance(one, str | int | float) for one in parts):
            return Unknown(f"builtins.{type(key).__name__}")
        if any(isinstance(one, str) and len(one) > _MAX_KEY_LENGTH for one in parts):
            return Unknown("builtins.str")
        self._others += not isinstance(key, str) and not (isinstance(key, int) and abs(key) < _SMALL_INTEGER)
        if self._others > _MAX_OTHER_KEYS:
            raise ValueError(f"its pickle uses more than {_MAX_OTHER_KEYS:,} keys that are not strings")
        return key


def full_name(module: str, name: str) -> str:
    """The name of a global, shortened and with control characters escaped, because errors show it."""
    full = f"{module[:_MAX_NAME_LENGTH]}.{name[:_MAX_NAME_LENGTH]}"
    return full if full.isprintable() else ascii(full)[1:-1]


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"its pickle has a string that is not UTF-8 ({error.reason})") from None


def _unpack(code: str, machine: _Machine) -> Any:
    return struct.unpack(code, machine.read(struct.calcsize(code)))[0]


def _integer(machine: _Machine, size: int) -> int:
    if size > _MAX_INTEGER_BYTES:
        raise ValueError(f"its pickle has an integer of {size} bytes")
    return int.from_bytes(machine.read(size), "little", signed=True)


_STOP = b"."
_INSTRUCTIONS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": _Machine.check_protocol,
    b"\x95": lambda m: m.read(8),  # the length of the frame, which is not needed
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.unsigned(1)),
    b"M": lambda m: m.push(m.unsigned(2)),
    b"J": lambda m: m.push(_integer(m, 4)),
    b"\x8a": lambda m: m.push(_integer(m, m.unsigned(1))),
    b"\x8b": lambda m: m.push(_integer(m, m.unsigned(4))),
    b"G": lambda m: m.push(_unpack(">d", m)),
    b"\x8c": lambda m: m.push(m.text(1)),
    b"X": lambda m: m.push(m.text(4)),
    b"\x8d": lambda m: m.push(m.text(8)),
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.push(tuple(m.pop_many(1))),
    b"\x86": lambda m: m.push(tuple(m.pop_many(2))),
    b"\x87": lambda m: m.push(tuple(m.pop_many(3))),
    b"(": _Machine.push_mark,
    b"t": lambda m: m.push(tuple(m.pop_to_mark())),
    b"]": lambda m: m.push([]),
    b"a": lambda m: m.append(m.pop_many(1)),
    b"e": lambda m: m.append(m.pop_to_mark()),
    b"}": lambda m: m.push({}),
    b"s": lambda m: m.set_items(m.pop_many(2)),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    b"\x8f": lambda m: m.push(set()),
    b"\x90": lambda m: m.add(m.pop_to_mark()),
    b"q": lambda m: m.memoize(m.unsigned(1)),
    b"r": lambda m: m.memoize(m.unsigned(4)),
    b"\x94": lambda m: m.memoize(len(m.memo)),
    b"h": lambda m: m.push_memo(m.unsigned(1)),
    b"j": lambda m: m.push_memo(m.unsigned(4)),
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": lambda m: m.name(*m.pop_many(2)),
    b"Q": _Machine.push_persistent,
    b"R": _Machine.call,
    b"\x81": lambda m: m.new_object(1),
    b"\x92": lambda m: m.new_object(2),
    b"b": _Machine.set_attributes,
    b"B": lambda m: m.push(m.read(m.unsigned(4))),
    b"C": lambda m: m.push(m.read(m.unsigned(1))),
    b"\x8e": lambda m: m.push(m.read(m.unsigned(8))),
    b"\x96": lambda m: m.push(m.read(m.unsigned(8))),  # a bytearray
    b"\x91": lambda m: m.push_frozen(m.pop_to_mark()),
    b"0": _Machine.pop_or_mark,
    b"1": _Machine.pop_to_mark,
}
# Instructions of other pickles, named in the error: a file that uses them holds unsupported objects.
_REFUSED = {
    b"i": "instruction INST, which creates an instance of a class",
    b"o": "instruction OBJ, which creates an instance of a class",
    b"\x82": "instruction EXT1, which imports by number",
    b"\x83": "instruction EXT2, which imports by number",
    b"\x84": "instruction EXT4, which imports by number",
    **{
        bytes([one]): f"instruction {chr(one)!r} of protocol 0 or 1, which torch.save does not use"
        for one in b"2FILPSTUVdglp"
    },
}
