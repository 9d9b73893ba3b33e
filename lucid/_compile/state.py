"""The state of a compiled function: the tensors of modules, optimizers and the like as one flat list.

``State.plan()`` runs at every call, so it compares a cheap fingerprint (the registration counter of ``Module``, lengths
of dictionaries, identities of optimizer state) and rebuilds the list only if the fingerprint has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from lucid import tape
from lucid._tensor import Tensor
from lucid.nn.module import Module, registered
from lucid.optim.lr_scheduler import LRScheduler
from lucid.optim.optimizer import Optimizer
from lucid.optim.rule_optimizer import RuleOptimizer

# Of a group: the learning rate is an input of the graph, and no optimizer reads the values that schedules store.
_NO_CONSTANTS = frozenset(
    ("params", "param_names", "lr", "initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum")
)
_COUNTERS = frozenset(("_step_calls", "_is_stepping"))
PLAIN = (bool, int, float, str, type(None))  # Python values that become constants of a graph


class Plan(NamedTuple):
    """The state as currently registered."""

    names: list[str]  # "model.stages.0.bn.running_mean", one for each tensor
    tensors: list[Tensor]
    places: dict[int, int]  # index of a tensor, by its id
    leaves: list[Tensor]  # those whose .grad is state too: parameters and directly listed tensors
    leaf_names: list[str]
    constants: dict[str, str]  # Python values: training flags, momentum, dropout rates
    modules: list[tuple[str, Module]]
    hooks: list[tuple[str, dict[int, Any]]]  # of the modules, empty or not
    objects: dict[int, str]  # names of modules, optimizers and other owners of tensors, by their ids
    number: int  # equal for equal names and constants


EMPTY_PLAN = Plan([], [], {}, [], [], {}, [], [], {}, -1)


class State:
    """The objects listed as ``state=``, flattened.

    Raises:
        TypeError: an object has no tensors that can be state.
    """

    def __init__(self, caller: str, items: Any) -> None:
        self.modules: dict[str, Module] = {}
        self.optimizers: dict[str, Optimizer] = {}
        self.others: dict[str, Any] = {}  # objects with state_tensors()
        self.given: dict[str, Tensor] = {}
        for name, item in _flatten(items, ""):
            self._add(caller, name, item)
        self._numbers: dict[Any, int] = {}
        self._plan: Plan | None = None
        self._last_fingerprint: Any = None
        self._dicts: list[dict[Any, Any]] = []

    def _add(self, caller: str, name: str, item: Any) -> None:
        kinds: list[tuple[type, dict[str, Any]]] = [
            (Module, self.modules), (Optimizer, self.optimizers), (tape.TensorBase, self.given),
        ]  # fmt: skip
        for kind, home in kinds:
            if isinstance(item, kind):
                home[_unique_name(home, name or type(item).__name__.lower())] = item
                return
        if callable(getattr(item, "state_tensors", None)):
            self.others[_unique_name(self.others, name or type(item).__name__.lower())] = item
            return
        hint = ""
        if isinstance(item, LRScheduler):
            hint = "; call a scheduler's step() after the compiled function"
        raise TypeError(
            f"{caller}: state must hold modules, optimizers, tensors or objects with state_tensors(), "
            f"got {type(item).__name__}{hint}"
        )

    def add_modules(self, found: Iterable[tuple[str, Module]]) -> None:
        """Add modules that the user did not list."""
        known = {id(one) for one in self.all_modules()}
        for name, module in found:
            if id(module) not in known:
                known |= {id(one) for one in module.modules()}
                self.modules[_unique_name(self.modules, name)] = module
                self._plan = None

    # At every call --------------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """The current plan, rebuilt only if the fingerprint has changed."""
        fingerprint = self._fingerprint()
        if self._plan is None or fingerprint != self._last_fingerprint:
            self._plan = self._build_plan()
            self._last_fingerprint = self._fingerprint()
        return self._plan

    def _fingerprint(self) -> Any:
        return (
            registered.count if self.modules else 0,
            list(map(len, self._dicts)),
            [
                (
                    id(one.state),
                    [*map(id, chain.from_iterable(map(dict.values, one.state.values())))],
                    [
                        (id(group.lr_tensor), id(group.momentum_tensor), len(group["params"]))
                        for group in one.param_groups
                    ],
                    _constant_options(one),
                    _own_values(one),
                )
                for one in self.optimizers.values()
            ],
            [[*map(id, one.state_tensors())] for one in self.others.values()],
            [self._plain_values(one) for one in self.others.values()],
        )

    # When the fingerprint has changed -------------------------------------------------------------------------------

    def _build_plan(self) -> Plan:
        slots = list(self.slots())
        names: list[str] = []
        tensors: list[Tensor] = []
        places: dict[int, int] = {}
        for name, tensor, _, _ in slots:
            if id(tensor) not in places:
                places[id(tensor)] = len(tensors)
                names.append(name)
                tensors.append(tensor)
        ids = self._leaf_ids()
        leaves = [i for i, tensor in enumerate(tensors) if id(tensor) in ids]
        self._dicts = [d for m in self.all_modules() for d in (m._parameters, m._buffers, m._modules)]
        constants = self.constants()
        identity = tuple(names), tuple(constants.items())
        number = self._numbers.setdefault(identity, len(self._numbers))
        leaf_tensors, leaf_names = [tensors[i] for i in leaves], [names[i] for i in leaves]
        modules = list(self.named_modules())
        hooks = [
            (f"the hooks of {name}", one)
            for name, module in modules
            for one in (module._forward_pre_hooks, module._forward_hooks, module._backward_hooks)
        ]
        objects = {id(one): name for name, one in (*modules, *self.optimizers.items(), *self.others.items())}
        return Plan(names, tensors, places, leaf_tensors, leaf_names, constants, modules, hooks, objects, number)

    def _leaf_ids(self) -> set[int]:
        found = {id(p) for module in self.modules.values() for p in module.parameters()}
        found |= {id(p) for one in self.optimizers.values() for p in one._all_parameters()}
        return found | {id(tensor) for tensor in self.given.values()}

    def slots(self) -> Iterator[tuple[str, Tensor, dict[Any, Any] | None, Any]]:
        """Every tensor with its name, and the dictionary and key that hold it if it can be replaced there."""
        for root, module in self.modules.items():
            for path, one in module.named_modules():
                for home in (one._parameters, one._buffers, vars(one)):  # the last for tensors in plain attributes
                    for key, tensor in home.items():
                        if isinstance(tensor, Tensor):
                            yield ".".join(filter(None, (root, path, key))), tensor, home, key
        for root, optimizer in self.optimizers.items():
            for number, group in enumerate(optimizer.param_groups):
                if group.lr_tensor is not None:
                    yield f"{root}.param_groups[{number}].lr", group.lr_tensor, None, None
                if group.momentum_tensor is not None:
                    yield f"{root}.param_groups[{number}].momentum", group.momentum_tensor, None, None
                for place, p in enumerate(group["params"]):
                    name = (
                        f"{root}.param_groups[{number}].{group['param_names'][place]}"
                        if "param_names" in group
                        else (f"{root}.param_groups[{number}].params[{place}]")
                    )
                    yield name, p, None, None
                    for key, tensor, home, place_in_home in optimizer.state_slots(p):
                        yield f"{name}.{key}", tensor, home, place_in_home
        for root, other in self.others.items():
            for place, tensor in enumerate(other.state_tensors()):
                yield f"{root}.state_tensors()[{place}]", tensor, None, None
        for root, tensor in self.given.items():
            yield root, tensor, None, None

    def objects(self) -> list[Any]:
        """All objects that hold tensors: every module, the optimizers, and the rest."""
        return [*self.all_modules(), *self.optimizers.values(), *self.others.values()]

    def all_modules(self) -> list[Module]:
        return [one for module in self.modules.values() for one in module.modules()]

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        for root, module in self.modules.items():
            for path, one in module.named_modules():
                yield f"{root}.{path}" if path else root, one

    def constants(self) -> dict[str, str]:
        """The Python values that a graph treats as constants, by name."""
        found = {}
        for name, module in self.named_modules():
            found[name] = type(module).__name__
            for key, value in vars(module).items():
                if is_plain(value):
                    found[f"{name}.{key}"] = repr(value)
        for name, optimizer in self.optimizers.items():
            for number, options in enumerate(_constant_options(optimizer)):
                for key, value in options:
                    found[f"{name}.param_groups[{number}].{key}"] = repr(value)
            for key, value in _own_values(optimizer):
                found[f"{name}.{key}"] = repr(value)
            for place, p in enumerate(optimizer._all_parameters()):
                for key, value in optimizer.state.get(p, {}).items():
                    if is_plain(value):
                        found[f"{name}.state[parameter {place}].{key}"] = repr(value)
        for name, other in self.others.items():
            for key, value in self._plain_values(other):
                found[f"{name}.{key}"] = repr(value)
        return found

    def _plain_values(self, thing: Any) -> list[tuple[str, Any]]:
        values = getattr(thing, "__dict__", {}).items()
        return [(key, value) for key, value in values if is_plain(value)]


def _flatten(items: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(items, Mapping):
        for key, item in items.items():
            yield from _flatten(item, f"{name}.{key}" if name else str(key))
    elif isinstance(items, list | tuple | Iterator):
        for item in items:
            yield from _flatten(item, name)
    else:
        yield name, items


def _unique_name(taken: Mapping[str, Any], name: str) -> str:
    return (
        name
        if name not in taken
        else next(f"{name}_{i}" for i in range(2, len(taken) + 3) if f"{name}_{i}" not in taken)
    )


def _constant_options(optimizer: Optimizer) -> list[tuple[tuple[str, Any], ...]]:
    """The options of each group that are constants of a step: all but the learning rate and a scheduled momentum."""
    has_rule = isinstance(optimizer, RuleOptimizer)  # which reads a scheduled momentum from its tensor
    found = []
    for group in optimizer.param_groups:
        options = {key: value for key, value in group.items() if key not in _NO_CONSTANTS and is_plain(value)}
        if has_rule and group.momentum_tensor is not None:
            options.pop("momentum", None)
            if "betas" in options:
                options["betas"] = options["betas"][1:]
        found.append(tuple(options.items()))
    return found


def _own_values(optimizer: Optimizer) -> list[tuple[str, Any]]:
    """The Python values that a user's optimizer keeps in attributes."""
    if isinstance(optimizer, RuleOptimizer):
        return []
    return [(key, value) for key, value in vars(optimizer).items() if key not in _COUNTERS and is_plain(value)]


def is_plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(isinstance(one, PLAIN) for one in value))
