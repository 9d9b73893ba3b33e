"""``lucid.nn.functional`` has PyTorch's names, and every function is compared with PyTorch or its formula."""

import importlib
import inspect
from types import SimpleNamespace

import pytest

import lucid
from lucid.nn import functional as F

FAMILIES = [
    "activation", "adaptive_pooling", "affine", "convolution", "ctc", "distance", "likelihood_loss", "linear_loss",
    "loss", "margin_loss", "normalization", "pooling", "rearrangement", "resize", "sampling", "unpooling",
]  # fmt: skip
PUBLIC = sorted(name for name, value in vars(F).items() if inspect.isfunction(value) and not name.startswith("_"))
# Tested without PyTorch: in tests/ops/test_stochastic.py, tests/ops/test_normalization.py, and below.
OF_LAYERS = {"embedding_bag", "multi_head_attention_forward"}  # compared as layers
UNRECORDED = {
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "drop_path", "feature_alpha_dropout",
    "global_response_norm", "gumbel_softmax", "one_hot", "pad", "upsample", "upsample_bilinear", "upsample_nearest",
    # With return_indices, which is recorded:
    "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d_with_indices",
    "fractional_max_pool2d_with_indices", "fractional_max_pool3d_with_indices", "max_pool1d_with_indices",
    "max_pool2d_with_indices", "max_pool3d_with_indices",
}  # fmt: skip


class Noted:
    """``lucid.nn.functional``, recording the names that are looked up."""

    def __init__(self):
        self.names = set()

    def __getattr__(self, name):
        self.names.add(name)
        return getattr(F, name)


class Library:
    """``lucid`` with a recording ``nn.functional``."""

    def __init__(self):
        self.noted = Noted()
        self.nn = SimpleNamespace(functional=self.noted)

    def __getattr__(self, name):
        return getattr(lucid, name)


def test_every_function_is_compared_with_pytorch_or_its_formula():
    library = Library()
    for family in [*FAMILIES, "attention", "volume_convolution"]:
        for case in importlib.import_module(f"tests.reference.cases_ops_{family}").CASES:
            inputs = [lucid.tensor(one.values(case.rng()), dtype=one.dtype) for one in case.inputs]
            assert case.run(library, *inputs) is not None  # not evaluated: the comparison is in tests/ops
    assert library.noted.names | UNRECORDED | OF_LAYERS == set(PUBLIC)
    assert not library.noted.names & UNRECORDED


@pytest.mark.parametrize("family", FAMILIES)
def test_exports_are_sorted_and_reachable(family):
    module = importlib.import_module(f"lucid.ops.{family}")
    assert module.__all__ == sorted(module.__all__)
    assert all(getattr(F, name) is getattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "pad"])
def test_functions_are_the_operations(name):
    assert getattr(F, name) is getattr(lucid, name)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_function_has_a_docstring(name):
    assert getattr(F, name).__doc__


def test_one_hot():
    assert F.one_hot(lucid.tensor([[0, 2], [1, 0]])).tolist() == [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0]]]
    found = F.one_hot(lucid.tensor([3, 4]), num_classes=5)
    assert found.dtype == lucid.int64 and found.tolist() == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]


def test_pad():
    x = lucid.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    assert F.pad(x, (1, 2), value=9.0).tolist() == [[9, 1, 2, 3, 9, 9]]
    assert F.pad(x, (2, 1), mode="reflect").tolist() == [[3, 2, 1, 2, 3, 2]]
    F.pad(x, (1, 1), mode="replicate").backward(lucid.tensor([[1.0, 10.0, 100.0, 1000.0, 10000.0]]))
    assert x.grad.tolist() == [[11, 100, 11000]]


@pytest.mark.parametrize("name", lucid.nn.__all__)
def test_every_name_of_nn_exists_and_has_a_docstring(name):
    assert getattr(lucid.nn, name).__doc__
