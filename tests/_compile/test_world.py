"""What a function can read is compared at every call, is an input of the graph, or is refused.

Each case makes a function, its state, and a change of the Python world between two calls. Compiled calls follow the
change as eager ones do, or are refused with the name of what cannot be compared.
"""

import argparse
import enum
import functools
import math
import random
import types
import warnings
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import nn, optim
from lucid._compile.bytecode import names_in
from tests._compile.steps import small_model

CASES = {}
REFUSED = {}


def case(make):
    CASES[make.__name__] = make
    return make


def refused(*parts):
    def register(make):
        REFUSED[make.__name__] = (make, parts)
        return make

    return register


def setting(holder, name, value):
    return lambda: setattr(holder, name, value)


def writing(container, key, value):
    return lambda: container.__setitem__(key, value)


class Options:
    scale = 2.0


class Holding(nn.Module):
    def __init__(self, held):
        super().__init__()
        self.held = held


# Hooks --------------------------------------------------------------------------------------------------------------


@case
def a_forward_hook_is_added():
    m = nn.Linear(3, 2)
    return (lambda x: m(x)), [m], lambda: m.register_forward_hook(lambda module, args, out: out * 2)


@case
def a_forward_hook_is_removed():
    m = nn.Linear(3, 2)
    return (lambda x: m(x)), [m], m.register_forward_hook(lambda module, args, out: out * 2).remove


@case
def a_pre_hook_is_added():
    m = nn.Linear(3, 2)
    return (lambda x: m(x)), [m], lambda: m.register_forward_pre_hook(lambda module, args: (args[0] * 2,))


@case
def a_hook_is_exchanged():
    m = nn.Linear(3, 2)
    handle = m.register_forward_hook(lambda module, args, out: out * 2)

    def change():
        handle.remove()
        m.register_forward_hook(lambda module, args, out: out * 3)

    return (lambda x: m(x)), [m], change


@case
def a_hook_reads_a_list():
    m, factors = nn.Linear(3, 2), [2.0]
    m.register_forward_hook(lambda module, args, out: out * factors[0])
    return (lambda x: m(x)), [m], writing(factors, 0, 5.0)


@case
def a_hook_of_a_parameter_is_added():
    m = nn.Linear(3, 2)

    def function(x):
        m.weight.grad = None
        m(x).sum().backward()
        return m.weight.grad

    return function, [m], lambda: m.weight.register_hook(lambda g: g * 3)


# Variables ----------------------------------------------------------------------------------------------------------


@case
def a_list():
    a = [2.0]
    return (lambda x: x * a[0]), [], writing(a, 0, 5.0)


@case
def a_dictionary():
    a = {"k": 2.0}
    return (lambda x: x * a["k"]), [], writing(a, "k", 5.0)


@case
def a_nested_list():
    box = {"a": [1.0, 2.0]}
    return (lambda x: x * box["a"][1]), [], writing(box["a"], 1, 5.0)


@case
def a_tuple():
    t = (1.0, 2.0)

    def change():
        nonlocal t
        t = (1.0, 7.0)

    return (lambda x: x * t[1]), [], change


@case
def a_set():
    names = {"a"}
    return (lambda x: x * (2.0 if "b" in names else 1.0)), [], lambda: names.add("b")


@case
def a_sign_of_zero():
    a = [0.0]
    return (lambda x: x * math.copysign(1.0, a[0])), [], writing(a, 0, -0.0)


@case
def a_numpy_array():
    a = np.ones(3, np.float32)
    return (lambda x: x * lucid.tensor(a)), [], writing(a, slice(None), 5.0)


@case
def a_dtype():
    d = lucid.float32

    def change():
        nonlocal d
        d = lucid.float16

    return (lambda x: x.to(d).float() + (0.0 if d == lucid.float32 else 100.0)), [], change


@case
def a_function():
    act = F.relu

    def change():
        nonlocal act
        act = lambda x: x * 2  # noqa: E731

    return (lambda x: act(x)), [], change


@case
def a_function_that_reads_a_variable():
    factor = 2.0

    def scaled(x):
        return x * factor

    def change():
        nonlocal factor
        factor = 5.0

    decorated = lucid.no_grad()(scaled)
    return (lambda x: decorated(x)), [], change


@case
def a_default():
    def function(x, k=2.0):
        return x * k

    return function, [], setting(function, "__defaults__", (5.0,))


@case
def a_partial():
    factors = [2.0]
    return functools.partial(lambda factors, x: x * factors[0], factors), [], writing(factors, 0, 5.0)


@case
def a_python_module():
    module = types.ModuleType("settings")
    module.K = 2.0
    return (lambda x: x * module.K), [], setting(module, "K", 5.0)


@case
def an_enumeration():
    class Mode(enum.Enum):
        A, B = 1, 2

    options = Options()
    options.mode = Mode.A
    return (lambda x: x * (1.0 if options.mode is Mode.A else 3.0)), [], setting(options, "mode", Mode.B)


# Objects ------------------------------------------------------------------------------------------------------------


@case
def an_attribute():
    options = Options()
    return (lambda x: x * options.scale), [], setting(options, "scale", 5.0)


@case
def an_attribute_of_a_class():
    class Local:
        scale = 2.0

    return (lambda x: x * Local.scale), [], setting(Local, "scale", 5.0)


@case
def an_attribute_read_by_a_property():
    class Local:
        n = 2.0

        @property
        def k(self):
            return self.n

    local = Local()
    return (lambda x: x * local.k), [], setting(local, "n", 5.0)


@case
def an_attribute_read_by_name():
    options = Options()
    return (lambda x: x * getattr(options, "scale")), [], setting(options, "scale", 5.0)  # noqa: B009


@case
def an_attribute_whose_name_is_computed():
    options = Options()
    options.scale_1 = 2.0
    return (lambda x: x * getattr(options, f"scale_{x.ndim - 1}")), [], setting(options, "scale_1", 5.0)


@case
def an_attribute_read_by_vars():
    options = Options()
    options.k = 2.0
    return (lambda x: x * sum(vars(options).values())), [], setting(options, "k", 5.0)


@case
def attributes_in_slots():
    @dataclass(slots=True)
    class Slotted:
        scale: float

    options = Slotted(2.0)
    return (lambda x: x * options.scale), [], setting(options, "scale", 5.0)


@case
def a_special_method():
    class Scale:
        n = 1.0

        def __rmul__(self, x):
            return x * self.n

    scale = Scale()
    return (lambda x: scale.__rmul__(x)), [], setting(scale, "n", 5.0)


@case
def a_namespace():
    options = argparse.Namespace(scale=2.0)
    return (lambda x: x * options.scale), [], setting(options, "scale", 5.0)


@case
def an_object_reached_on_two_ways():
    options = Options()
    options.first, options.second = 1.0, 2.0
    box = types.SimpleNamespace(options=options)
    return (lambda x: x * options.first + box.options.second), [], setting(options, "second", 5.0)


@case
def a_patched_method():
    class Scale:
        def apply(self, x):
            return x * 2

    scale = Scale()
    return (lambda x: scale.apply(x)), [], setting(Scale, "apply", lambda self, x: x * 5)


@case
def an_argument_with_attributes():
    options = Options()
    return (lambda x, options: x * options.scale), [], setting(options, "scale", 5.0), options


# Modules ------------------------------------------------------------------------------------------------------------


@case
def a_list_of_a_module():
    class M(Holding):
        def forward(self, x):
            return x * self.held[1]

    m = M([1.0, 2.0])
    return (lambda x: m(x)), [m], writing(m.held, 1, 5.0)


@case
def a_dictionary_of_a_module():
    class M(Holding):
        def forward(self, x):
            return x * self.held["a"]

    m = M({"a": 2.0})
    return m, [], lambda: m.held.update(a=5.0)


@case
def an_array_of_a_module():
    class M(Holding):
        def forward(self, x):
            return x * lucid.tensor(self.held)

    m = M(np.ones(3, np.float32))
    return (lambda x: m(x)), [m], setting(m, "held", np.full(3, 5, np.float32))


@case
def a_function_of_a_module():
    class M(Holding):
        def forward(self, x):
            return self.held(x)

    m = M(F.relu)
    return (lambda x: m(x)), [m], setting(m, "held", F.silu)


@case
def a_dtype_of_a_module():
    class M(Holding):
        def forward(self, x):
            return x * (1.0 if self.held == lucid.float32 else 3.0)

    m = M(lucid.float32)
    return (lambda x: m(x)), [m], setting(m, "held", lucid.float16)


@case
def a_tensor_of_a_module_is_replaced():
    class M(Holding):
        def forward(self, x):
            return x * self.held

    m = M(lucid.ones(3))
    return (lambda x: m(x)), [m], setting(m, "held", lucid.full((3,), 5.0))


@case
def a_tensor_of_a_module_is_written():
    class M(Holding):
        def forward(self, x):
            return x * self.held

    m = M(lucid.ones(3))
    return (lambda x: m(x)), [m], lambda: m.held.mul_(5)


@case
def a_patched_forward():
    class M(nn.Module):
        def forward(self, x):
            return x * 2

    m = M()
    return (lambda x: m(x)), [m], setting(M, "forward", lambda self, x: x * 5)


@case
def a_forward_of_one_module():
    m = nn.Linear(3, 3)
    return (lambda x: m(x)), [m], setting(m, "forward", lambda x: x * 5)


# Tensors ------------------------------------------------------------------------------------------------------------


@case
def a_tensor_is_replaced():
    w = lucid.ones(3)

    def change():
        nonlocal w
        w = lucid.full((3,), 5.0)

    return (lambda x: x * w), [], change


@case
def a_listed_tensor_is_replaced():
    w = lucid.ones(3)

    def change():
        nonlocal w
        w = lucid.full((3,), 5.0)

    return (lambda x: x * w), [w], change


@case
def a_tensor_in_a_list():
    box = [{"w": lucid.ones(3)}]
    return (lambda x: x * box[0]["w"]), [], lambda: box[0]["w"].mul_(5)


@case
def a_tensor_whose_value_is_read():
    w = lucid.tensor(2.0)
    return (lambda x: x * w.item()), [], lambda: w.mul_(5)


@case
def a_learning_rate():
    optimizer = optim.SGD([lucid.ones(1, requires_grad=True)], lr=0.5)
    return (lambda x: x * optimizer.param_groups[0]["lr"]), [optimizer], lambda: optimizer.param_groups[0].set_lr(0.1)


def values(function, args):
    return np.asarray(function(lucid.tensor([[1.0, -2.0, 3.0], [0.5, 1.0, -1.0]]), *args).detach().tolist())


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_followed(name):
    def run(compiled):
        lucid.manual_seed(0)
        function, state, change, *args = CASES[name]()
        call = lucid.compile(function, state=state) if compiled else function
        found = [values(call, args), values(call, args)]
        change()
        return [*found, values(call, args), values(call, args)]

    eager = run(False)
    assert not np.array_equal(eager[0], eager[2]), "the change matters"
    np.testing.assert_allclose(run(True), eager, rtol=1e-5, atol=1e-6)


# What is refused ----------------------------------------------------------------------------------------------------


@refused("'model' (Linear), which is not in state", "state=[model]")
def a_model_is_replaced():
    model = nn.Linear(3, 2)

    def change():
        nonlocal model
        model = nn.Linear(3, 2)

    return (lambda x: model(x)), [model], change


@refused("'teacher.net' (Linear)", "state=[teacher.net]")
def a_teacher_in_an_attribute():
    teacher = types.SimpleNamespace(net=nn.Linear(3, 2))
    return (lambda x: teacher.net(x)), [], None


@refused("the default of 'net'", "state=[...]")
def a_teacher_in_a_default():
    def function(x, net=nn.Linear(3, 2)):  # noqa: B008
        return net(x)

    return function, [], None


@refused("'argument 0 of the partial'", "state=[...]")
def a_teacher_in_a_partial():
    return functools.partial(lambda net, x: net(x), nn.Linear(3, 2)), [], None


@refused("box[0]['t'][0]", "state=[box[0]['t'][0]]")
def a_teacher_in_containers():
    box = [{"t": (nn.Linear(3, 2),)}]
    return (lambda x: box[0]["t"][0](x)), [], None


@refused("'net' (Linear)", "state=[net]")
def a_teacher_in_a_compiled_function():
    net = nn.Linear(3, 2)
    inner = lucid.compile(lambda x: net(x), state=[net])
    return (lambda x: inner(x)), [], None


@refused("'net' of a Teacher (Linear)", "state=[...]")
def a_teacher_in_a_method():
    class Teacher:
        def __init__(self):
            self.net = nn.Linear(3, 2)

        def score(self, x):
            return self.net(x)

    return Teacher().score, [], None


@refused("the variable 'a' is an mx.array", "lucid.tensor()")
def an_mlx_array():
    a = mx.ones(3)
    return (lambda x: x * lucid.tensor(a)), [], None


@refused("the variable 'a' is a NumPy array of 1.5 MiB", "pass it as an argument")
def a_large_array():
    a = np.zeros((512, 768), np.float32)
    return (lambda x: x * lucid.tensor(a[0, :3])), [], None


@refused("holds 20000 values", "pass it as an argument")
def a_long_list():
    a = [1.0] * 20_000
    return (lambda x: x * a[0]), [], None


@refused("the variable 'items' is a list_iterator, whose position cannot be compared", "call next() outside")
def an_iterator():
    items = iter([1.0, 2.0])
    return (lambda x: x * next(items)), [], None


@refused("the variable 'rng' is a Random", "draw outside")
def a_generator_of_random_numbers():
    rng = random.Random(0)
    return (lambda x: x * rng.random()), [], None


@refused("the function draws from Python's random module", "lucid.rand()")
def python_random_numbers():
    return (lambda x: x * random.random()), [], None


@refused("the function draws from numpy.random", "lucid.rand()")
def numpy_random_numbers():
    return (lambda x: x * np.random.rand()), [], None  # noqa: NPY002


@refused("was assigned a tensor with a graph", ".detach()")
def a_buffer_with_a_graph():
    m = small_model()
    m.register_buffer("center", lucid.zeros(3))

    def function(x):
        m.center = m(x).mean(0)
        return m.center

    return function, [m], None


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compared_is_refused(name):
    make, parts = REFUSED[name]
    function, state, change = make()
    call = lucid.compile(function, state=state)
    if change is not None:
        values(call, ())
        change()
    python, numpy = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with pytest.raises(RuntimeError) as found:
        values(call, ())
    message = str(found.value)
    assert message.startswith("compile(") and all(part in message for part in parts), message
    if "the variable" in message or ("state=[" in message and "state=[...]" not in message):
        assert f"{__file__}, line " in message, "the line is named"
    assert random.getstate() == python and np.random.get_state()[1].tolist() == numpy  # noqa: NPY002


def test_containers_are_restored_after_a_failed_trace():
    log, found, names, array, count = [1], {"a": 1}, {"a"}, np.ones(2), 0
    options = Options()

    def function(x):
        nonlocal count
        count += 1
        log.append(2)
        log[0] = 5
        found["b"] = 2
        names.add("b")
        array[0] = 7
        options.scale = 9.0
        options.more = []
        raise KeyError("stop")

    with pytest.raises(KeyError):
        lucid.compile(function)(lucid.ones(1))
    assert (log, found, names, array.tolist(), count) == ([1], {"a": 1}, {"a"}, [1, 1], 0)
    assert vars(options) == {}


@pytest.mark.parametrize("kind", [list, dict])
def test_a_changed_argument_is_refused(kind):
    def function(items):
        if isinstance(items, list):
            items.append(items[0] * 2)
        else:
            items["b"] = items["a"] * 2
        return lucid.ones(1)

    items = [lucid.ones(2)] if kind is list else {"a": lucid.ones(2)}
    with pytest.raises(
        RuntimeError, match=f"the function changes a {kind.__name__} among its arguments, which would be"
    ):
        lucid.compile(function)(items)
    assert len(items) == 1


def test_writing_to_an_argument_reaches_all_that_share_its_values():
    def function(a, y):
        a.mul_(2)
        return a.sum() + y.sum()

    def results(function):
        y, other = lucid.tensor([1.0, 2.0, 3.0, 4.0]), lucid.ones(4)
        alias, found = y.detach(), []
        for arguments in ((y[1:3], other), (y[1:3], y), (y[1:3], y[2:]), (y, y[:2]), (y, y.flip(0))):
            found += [function(*arguments).item(), y.tolist(), alias.tolist()]
        return found

    assert results(lucid.compile(function)) == results(function)


def test_gradients_reach_tensors_that_are_not_state():
    w, base = lucid.tensor([1.0, 2.0], requires_grad=True), lucid.tensor([3.0, 4.0], requires_grad=True)
    computed = base * 2
    function = lucid.compile(lambda x: x * w * computed)
    function(lucid.ones(2)).sum().backward()
    assert w.grad.tolist() == [6, 8] and base.grad.tolist() == [2, 4]


def test_new_lists_and_functions_with_equal_content_need_no_retrace():
    scales, box = [2.0, 3.0], types.SimpleNamespace()

    def make(k):
        return lambda x: x * k

    box.act = make(2.0)
    compiled = lucid.compile(lambda x: box.act(x) * scales[1])
    for _ in range(3):
        assert compiled(lucid.ones(1)).item() == 6
        scales, box.act = [2.0, 3.0], make(2.0)
    assert compiled.retraces.count == 0
    box.act = make(4.0)
    assert compiled(lucid.ones(1)).item() == 12 and compiled.retraces.count == 1


def test_a_log_that_the_function_does_not_name_needs_no_retrace():
    class Trainer:
        def __init__(self):
            self.log, self.count, self.factor = [], 0, 2.0

        def step(self, x):
            return x * self.factor

        def run(self):
            step = lucid.compile(self.step)
            for _ in range(3):
                self.log.append(step(lucid.ones(1)).item())
                self.count += 1
            return step

    trainer = Trainer()
    assert trainer.run().retraces.count == 0 and trainer.log == [2, 2, 2]


def test_large_fields_that_the_function_does_not_read_are_left_alone():
    @dataclass
    class Setup:
        scale: float
        weights: dict

        def __repr__(self):
            return f"{len(self.weights)} weights"

    setup = Setup(2.0, {"a": np.zeros((1024, 1024))})
    compiled = lucid.compile(lambda x: x * setup.scale)
    assert compiled(lucid.ones(1)).item() == 2
    setup.scale = 3.0
    assert compiled(lucid.ones(1)).item() == 3


def test_a_list_that_the_function_extends_is_reported_once():
    log = []

    @lucid.compile
    def function(x):
        log.append("called")
        return x * 2

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(3):
            function(lucid.ones(1))
    assert len(found) == 1 and "the length of the variable 'log' changed from 0 to 1 inside" in str(found[0].message)
    assert found[0].filename == __file__ and log == ["called"] and function.retraces.count == 0


def test_names_in_bytecode():
    def function(self, x):
        self.a.b(x)
        (self.p or np).q  # noqa: B018
        np.linalg.norm  # noqa: B018
        self.n += 1
        return [k.m for k in x], getattr(x, "u", None)

    names = names_in(function.__code__)
    assert names.variables["np"] == {"linalg": {"norm": {}}} and not names.open
    assert names.attributes["a"] == {"b": {}} and {"q", "n", "m", "u", "p"} <= set(names.attributes)
    assert "b" not in names.attributes
    assert names_in((lambda x, name: getattr(x, name)).__code__).open
