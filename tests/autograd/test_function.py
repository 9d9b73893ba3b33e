"""Custom functions: contexts, outputs without a gradient, and inputs written in place."""

import pytest

import lucid
from lucid.autograd import Function, graph, once_differentiable


def test_setup_context():
    class Scale(Function):
        @staticmethod
        def forward(x, factor):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.factor = inputs[1]

        @staticmethod
        def backward(ctx, gradient):
            assert ctx.needs_input_grad == (True, False)
            return gradient * ctx.factor, None

    x = lucid.ones(2, requires_grad=True)
    Scale.apply(x, 3).sum().backward()
    assert x.grad.tolist() == [3, 3]


@pytest.mark.parametrize("materialize", [True, False])
def test_missing_gradients(materialize):
    seen = []

    class Two(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(materialize)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, first, second):
            seen.append(second)
            return first * 2

    x = lucid.ones(2, requires_grad=True)
    Two.apply(x)[0].sum().backward()
    assert x.grad.tolist() == [2, 2]
    assert seen[0].tolist() == [0, 0] if materialize else seen[0] is None


def test_mark_dirty():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    x = lucid.ones(2, requires_grad=True)
    y = x * 3
    z = Double.apply(y)
    assert z is y and y.tolist() == [6, 6]
    (y * 1).sum().backward()
    assert x.grad.tolist() == [6, 6]


def test_once_differentiable():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @once_differentiable
        def backward(ctx, gradient):
            return 2 * ctx.saved_tensors[0] * gradient

    x = lucid.tensor(3.0, requires_grad=True)
    (found,) = lucid.autograd.grad(Square.apply(x), x, create_graph=True)
    assert found.item() == 6 and not found.requires_grad


def test_saved_tensors_hooks():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, gradient):
            return 2 * ctx.saved_tensors[0] * gradient

    x = lucid.tensor(3.0, requires_grad=True)
    with graph.saved_tensors_hooks(lambda one: one.numpy(force=True), lambda one: lucid.tensor(one)):
        y = Square.apply(x)
    y.backward()
    assert x.grad.item() == 6
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        graph.saved_tensors_hooks(abs, abs).__enter__()
    with graph.save_on_cpu():
        assert graph.get_gradient_edge(x * 2).output_nr == 0


def test_saved_tensors_hooks_pack_what_operations_take():
    stored = []

    def store(saved):
        stored.append(saved.numpy())
        return len(stored) - 1

    x = lucid.tensor([1.0, 2.0], requires_grad=True)
    with graph.saved_tensors_hooks(store, lambda number: lucid.tensor(stored[number])):
        y = (x * x).exp()
        with lucid.autograd.detect_anomaly():
            z = (y * 2).sum()
        w = lucid.cat([x, x]).sum()
    plain = x * 3
    assert len(stored) == 2 + 1 + 1 + 1 + 2 + 1  # the operands of *, exp, *, sum, cat and sum
    assert lucid.autograd.grad(plain.sum(), x)[0].tolist() == [3, 3]
    (z + w).backward(retain_graph=True)
    expected = 4 * x.detach() * (x.detach() ** 2).exp() + 2
    assert lucid.allclose(x.grad, expected)
    (second,) = lucid.autograd.grad(z, x, create_graph=True)
    (third,) = lucid.autograd.grad(second.sum(), x)
    assert lucid.allclose(third, (4 + 8 * x.detach() ** 2) * (x.detach() ** 2).exp())


@pytest.mark.parametrize(
    ("restore", "error", "message"),
    [
        (lambda one: 3, TypeError, "unpack_hook must return a tensor, got int"),
        (lambda one: lucid.ones(5), ValueError, r"unpack_hook must return the shape \(2,\) that was saved"),
    ],
)
def test_saved_tensors_hooks_check_what_is_unpacked(restore, error, message):
    x = lucid.ones(2, requires_grad=True)
    with graph.saved_tensors_hooks(lambda one: None, restore):
        y = x.exp().sum()
    with pytest.raises(error, match=message):
        y.backward()


def test_multi_grad_hooks():
    a, b = lucid.ones(2, requires_grad=True), lucid.ones(2, requires_grad=True)
    seen = []
    with graph.register_multi_grad_hook([a, b], seen.append):
        (a * 2 + b * 3).sum().backward()
    assert [one.tolist() for one in seen[0]] == [[2, 2], [3, 3]]


def test_next_functions():
    x = lucid.ones(2, requires_grad=True)
    y = (x * 2).sum()
    assert [node.name for node, _ in y.grad_fn.next_functions] == ["mul"]
    assert y.grad_fn.next_functions[0][0].next_functions == ((None, 0),)
