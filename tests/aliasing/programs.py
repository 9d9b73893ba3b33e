"""Random programs of views and writes, which PyTorch and Lucid both run.

``run(library, seed)`` makes a few tensors and executes a sequence of statements on them: views, views of views, writes,
``detach()`` and ``.data``, copies, blocks of ``no_grad``, deleted names. At the end it reads every tensor that is left,
and the gradients of the leaves. All decisions come from the seed and from shapes, so that both libraries execute the
same program. Values are small dyadic numbers, so that all results are exact in float32.

A statement that PyTorch refuses is not executed in either library; ``refused`` lists them. PyTorch also refuses to
differentiate a graph whose values were overwritten; the gradients of such a program are not compared.
"""

from __future__ import annotations

import contextvars
import math
import random
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SHAPES = [(4,), (2, 3), (3, 2), (2, 2, 3), (6,), (3, 4), (1, 4), (2, 1, 3), (4, 4)]


@dataclass
class Outcome:
    """What a program computed."""

    refused: list[int] = field(default_factory=list)  # numbers of the statements that raised
    differentiated: bool = True  # whether backward() succeeded
    error: RuntimeError | None = None  # of backward()
    values: list[np.ndarray[Any, Any]] = field(default_factory=list)
    gradients: list[np.ndarray[Any, Any]] = field(default_factory=list)
    source: list[str] = field(default_factory=list)  # the program as text, for reading

    @property
    def digests(self) -> tuple[int, int]:
        """Checksums of the values and of the gradients."""
        return _digest(self.values), _digest(self.gradients) if self.differentiated else 0


def _digest(arrays: list[np.ndarray[Any, Any]]) -> int:
    code = 0
    for one in arrays:
        code = zlib.crc32(repr(one.shape).encode(), code)
        code = zlib.crc32((one.astype(np.float64) + 0.0).tobytes(), code)  # -0.0 as 0.0
    return code


class Program:
    """One program: the tensors by name, and the random choices."""

    def __init__(self, library: Any, seed: int, refused: list[int] | None, dtype: Any = None) -> None:
        self.lib, self.rng, self.dtype = library, random.Random(seed), dtype
        self.known = refused  # statements to leave out; None to find them
        self.outcome = Outcome()
        self.tensors: dict[str, Any] = {}
        self.leaves: dict[str, Any] = {}
        self.families: dict[str, str] = {}  # which tensors share memory, perhaps
        self.count = 0  # of attempted statements
        self.number = -1  # of the statement, for names

    # Execution ------------------------------------------------------------------------------------------------------

    def attempt(self, text: str, action: Any) -> Any:
        """Execute a statement, unless PyTorch refuses it."""
        number, self.count = self.count, self.count + 1
        if self.known is not None and number in self.known:
            return None
        self.outcome.source.append(text)
        if self.known is not None:
            return action()
        try:
            return action()
        except (RuntimeError, NotImplementedError, TypeError, IndexError, ValueError) as error:
            self.outcome.refused.append(number)
            self.outcome.source[-1] = f"# {text}  # {type(error).__name__}: {str(error)[:70]}"
            return None

    def name(self) -> str:
        return self.rng.choice(sorted(self.tensors))

    def keep(self, tensor: Any, name: str, family: str) -> None:
        if tensor is not None and len(self.tensors) < 9:
            self.tensors[name], self.families[name] = tensor, family

    def constant(self, shape: tuple[int, ...]) -> Any:
        values = [self.rng.randint(-3, 3) for _ in range(math.prod(shape))]
        return self.lib.tensor(np.array(values, np.float32).reshape(shape).tolist(), dtype=self.dtype)

    def run(self, statements: int) -> Outcome:
        for number in range(3):
            self.tensors[f"t{number}"] = self.constant(self.rng.choice(SHAPES))
            self.families[f"t{number}"] = f"t{number}"
            self.outcome.source.append(f"t{number} = {self.tensors[f't{number}'].tolist()}")
            if self.rng.random() < (0.7, 0.3, 0.1)[number]:
                self.tensors[f"t{number}"].requires_grad_()
                self.leaves[f"t{number}"] = self.tensors[f"t{number}"]
                self.outcome.source.append(f"t{number}.requires_grad_()")
                factor = self.rng.choice((2, -1))
                if self.rng.random() < 0.7:
                    self.keep(self.tensors[f"t{number}"] * factor, f"h{number}", f"h{number}")
                    self.outcome.source.append(f"h{number} = t{number} * {factor}")
        self.body(statements)
        return self.finish()

    def body(self, statements: int) -> None:
        kinds = (self.view, self.write, self.compute, self.forget)
        for _ in range(statements):
            self.number += 1
            number = self.number
            kind = self.rng.choices(kinds, (9, 9, 2, 2))[0]
            quiet = self.rng.random() < 0.2
            if quiet:
                self.outcome.source.append("with no_grad():  # the next statement")
                with self.lib.no_grad():
                    kind(f"v{number}")
            else:
                kind(f"v{number}")

    def finish(self) -> Outcome:
        outcome = self.outcome
        terms = []
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            weights = self.constant(tuple(tensor.shape))
            if self.lib.is_tensor(tensor):
                found = self.attempt(
                    f"loss += ({name} * weights).sum()  # if it requires grad",
                    lambda tensor=tensor, weights=weights: (tensor * weights).sum() if tensor.requires_grad else None,
                )
                if found is not None and found.requires_grad:
                    terms.append(found)
        for name in sorted(self.tensors):
            outcome.values.append(
                np.array(self.tensors[name].detach().tolist()).reshape(tuple(self.tensors[name].shape))
            )
        if terms:
            loss = terms[0]
            for one in terms[1:]:
                loss = loss + one
            try:
                loss.backward()
            except RuntimeError as error:
                outcome.differentiated = False
                outcome.source.append(f"# backward: {str(error)[:120]}")
                outcome.error = error
        for name, leaf in self.leaves.items():
            grad = leaf.grad
            outcome.gradients.append(
                np.zeros(0) if grad is None else np.array(grad.tolist()).reshape(tuple(grad.shape))
            )
            outcome.source.append(f"# gradient of {name}: {None if grad is None else grad.tolist()}")
        for name, value in zip(sorted(self.tensors), outcome.values, strict=True):
            outcome.source.append(f"# {name} = {value.tolist()}")
        return outcome

    # Statements -----------------------------------------------------------------------------------------------------

    def forget(self, name: str) -> None:
        if len(self.tensors) > 2:
            gone = self.name()
            self.outcome.source.append(f"del {gone}")
            del self.tensors[gone]
            self.leaves.pop(gone, None)

    def compute(self, name: str) -> None:
        source = self.name()
        x = self.tensors[source]
        kind = self.rng.randrange(5)
        other = self.rng.choice([n for n in sorted(self.tensors) if self.tensors[n].shape == x.shape])
        factor = self.rng.choice((2, -1, 0.5))
        y = self.tensors[other]
        # contiguous(), because PyTorch's elementwise operations keep the order of the dimensions in memory.
        text, action = [
            (f"{source}.clone().contiguous()", lambda: x.clone().contiguous()),
            (f"({source} * {factor}).contiguous()", lambda: (x * factor).contiguous()),
            (f"({source} + {other}).contiguous()", lambda: (x + y).contiguous()),
            (f"({source} * {other}).contiguous()", lambda: (x * y).contiguous()),
            (f"{source}.contiguous()", lambda: x.contiguous()),
        ][kind]
        family = self.families[source] if kind == 4 else name
        self.keep(self.attempt(f"{name} = {text}", action), name, family)

    def view(self, name: str) -> None:
        source = self.name()
        x = self.tensors[source]
        text, action = self.a_view(x)
        result = self.attempt(f"{name} = {source}{text}", lambda: action(x))
        if isinstance(result, tuple | list):
            for i, one in enumerate(result):
                if i < 2:
                    self.keep(one, f"{name}_{i}", self.families[source])
            return
        self.keep(result, name, self.families[source])

    def a_view(self, x: Any) -> tuple[str, Any]:
        rng, shape = self.rng, tuple(x.shape)
        rank, size = len(shape), math.prod(shape)
        axis = rng.randrange(rank) if rank else 0
        length = shape[axis] if rank else 1
        start = rng.randrange(length) if length else 0
        count = rng.randint(0, length - start)
        order = rng.sample(range(rank), rank)
        divisors = [d for d in range(1, size + 1) if size % d == 0] or [1]
        first = rng.choice(divisors)
        pairs = rng.sample(range(rank), 2) if rank > 1 else (0, 0)
        offset = rng.randint(-1, 1)
        index = self.an_index(shape)
        repeat = rng.randint(1, 2)
        parts = rng.randint(1, 3)
        options: list[tuple[str, Any]] = [
            (f"[{index!r}]", lambda x: x[index]),
            (f"[{index!r}]", lambda x: x[index]),
            (".detach()", lambda x: x.detach()),
            (".data", lambda x: x.data),
            (f".view({first}, -1)", lambda x: x.view(first, -1)),
            (f".reshape({first}, -1)", lambda x: x.reshape(first, -1)),
            (".reshape(-1)", lambda x: x.reshape(-1)),
            (".view(-1)", lambda x: x.view(-1)),
            (".flatten()", lambda x: x.flatten()),
            (".squeeze()", lambda x: x.squeeze()),
            (f".unsqueeze({axis})", lambda x: x.unsqueeze(axis)),
            (f".expand({repeat}, *shape)", lambda x: x.expand(repeat, *shape)),
            (f".permute({order})", lambda x: x.permute(*order)),
        ]
        if rank:
            options += [
                (f".narrow({axis}, {start}, {count})", lambda x: x.narrow(axis, start, count)),
                (f".unbind({axis})", lambda x: x.unbind(axis)),
                (f".split({parts}, {axis})", lambda x: x.split(parts, axis)),
                (f".chunk({parts}, {axis})", lambda x: x.chunk(parts, axis)),
            ]
            if length:
                options += [(f".select({axis}, {start})", lambda x: x.select(axis, start))]
        if rank > 1:
            options += [
                (f".transpose{tuple(pairs)}", lambda x: x.transpose(*pairs)),
                (f".diagonal({offset}, *{pairs})", lambda x: x.diagonal(offset, *pairs)),
                (f".movedim{tuple(pairs)}", lambda x: x.movedim(*pairs)),
                (".flatten(0, 1)", lambda x: x.flatten(0, 1)),
                (".mT", lambda x: x.mT),
            ]
        if rank == 2:
            options += [(".T", lambda x: x.T), (".t()", lambda x: x.t())]
        return rng.choice(options)

    def an_index(self, shape: tuple[int, ...]) -> Any:
        entries: list[Any] = []
        for size in shape[: self.rng.randint(0, len(shape))]:
            kind = self.rng.randrange(5)
            if kind == 0 and size:
                entries.append(self.rng.randrange(-size, size))
            elif kind == 1:
                entries.append(slice(None))
            elif kind == 2:
                entries.append(slice(self.rng.randint(0, size), None))
            elif kind == 3:
                entries.append(slice(self.rng.randint(-size, size), self.rng.randint(-size, size)))
            else:
                entries.append(slice(self.rng.randint(0, 1), None, 2))
        if self.rng.random() < 0.2:
            entries.append(Ellipsis)
        if self.rng.random() < 0.1:
            entries.insert(0, None)
        return entries[0] if len(entries) == 1 else tuple(entries)

    def write(self, name: str) -> None:
        rng = self.rng
        target = self.name()
        x = self.tensors[target]
        shape = tuple(x.shape)
        same = rng.choice([n for n in sorted(self.tensors) if tuple(self.tensors[n].shape) == shape])
        y = self.tensors[same]
        number = rng.choice((-2, -1, 0.5, 1, 2, 3))
        fresh = self.constant(shape)
        mask = self.lib.tensor([rng.random() < 0.5 for _ in range(math.prod(shape))]).reshape(shape)
        index = self.an_index(shape)
        row = self.constant(shape[1:])

        def assign(value: Any) -> Any:
            def action() -> None:
                x[index] = value

            return action

        def increase() -> None:
            x[index] += number

        def operator_add() -> None:
            nonlocal x
            x += number

        def operator_mul() -> None:
            nonlocal x
            x *= fresh

        def mask_assign() -> None:
            x[mask] = number

        def replace_data() -> None:
            if self.families[target] != self.families[same]:
                x.data = y
                self.families[target] = self.families[same]

        options = [
            (f".copy_({fresh.tolist()})", lambda: x.copy_(fresh)),
            (f".copy_({same}.clone())", lambda: x.copy_(y.clone())),
            (f".copy_({row.tolist()})", lambda: x.copy_(row)),
            (f".fill_({number})", lambda: x.fill_(number)),
            (".zero_()", lambda: x.zero_()),
            (f".add_({number})", lambda: x.add_(number)),
            (f".add_({same})", lambda: x.add_(y)),
            (f".sub_({same}, alpha=2)", lambda: x.sub_(y, alpha=2)),
            (f".mul_({number})", lambda: x.mul_(number)),
            (f".mul_({same}.clone())", lambda: x.mul_(y.clone())),
            (".div_(2)", lambda: x.div_(2)),
            (".neg_()", lambda: x.neg_()),
            (".clamp_(-4, 4)", lambda: x.clamp_(-4, 4)),
            (f".masked_fill_({mask.tolist()}, {number})", lambda: x.masked_fill_(mask, number)),
            (f"[{index!r}] = {number}", assign(number)),
            (f"[{index!r}] = {number}", assign(number)),
            (f"[{index!r}] += {number}", increase),
            (f"[{mask.tolist()}] = {number}", mask_assign),
            (f" += {number}", operator_add),
            (f" *= {fresh.tolist()}", operator_mul),
            (" = relu(inplace=True)", lambda: self.lib.nn.functional.relu(x, inplace=True)),
            (f".data = {same}", replace_data),
        ]
        text, action = rng.choice(options)
        self.attempt(f"{target}{text}", action)


# lucid.compile compares all that a function can read; it does not look into this.
_inside: contextvars.ContextVar[Any] = contextvars.ContextVar("inside")


def _call(tensors: dict[str, Any]) -> Any:
    return _inside.get()(tensors)


class CompiledProgram(Program):
    """A program of which the statements ``first`` to ``last`` are one call of a compiled function."""

    def __init__(self, library: Any, seed: int, refused: list[int], first: int = 3, last: int = 10) -> None:
        super().__init__(library, seed, refused)
        self.first, self.last = first, last

    def body(self, statements: int) -> None:
        super().body(self.first)
        start = self.rng.getstate(), (self.count, self.number), len(self.outcome.source), dict(self.families)
        leaves = dict(self.leaves)

        def inside(tensors: dict[str, Any]) -> dict[str, Any]:
            # The function may be traced several times: every time from the same point.
            self.rng.setstate(start[0])
            self.count, self.number = start[1]
            del self.outcome.source[start[2] :]
            self.families, self.leaves, self.tensors = dict(start[3]), dict.fromkeys(leaves), dict(tensors)
            Program.body(self, self.last - self.first)
            found, self.tensors = self.tensors, {}
            return found

        token = _inside.set(inside)
        found = self.lib.compile(_call)(dict(self.tensors))
        _inside.reset(token)
        self.leaves = {name: leaves[name] for name in self.leaves}
        self.tensors = found
        super().body(statements - self.last)


def run(library: Any, seed: int, refused: list[int] | None = None, dtype: Any = None, statements: int = 12) -> Outcome:
    """Execute program ``seed``. Without ``refused``, find the statements that ``library`` refuses."""
    return Program(library, seed, refused, dtype).run(statements)


def run_compiled(library: Any, seed: int, refused: list[int], statements: int = 12) -> Outcome:
    """``run`` with most of the statements in a compiled function."""
    return CompiledProgram(library, seed, refused).run(statements)
