"""Loss modules call their functions; values are compared with PyTorch in tests/ops and test_against_pytorch.py."""

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.nn import functional as F


def test_options_are_passed_to_the_function():
    x, y = lucid.randn(4, 3), lucid.rand(4, 3)
    target, weight = lucid.tensor([0, 2, 1, 2]), lucid.tensor([0.5, 1.0, 2.0])
    p = lucid.sigmoid(x)
    for layer, want in [
        (nn.MSELoss(reduction="sum")(x, y), F.mse_loss(x, y, reduction="sum")),
        (nn.L1Loss(reduction="none")(x, y), F.l1_loss(x, y, reduction="none")),
        (nn.SmoothL1Loss(None, None, "sum", 0.1)(x, y), F.smooth_l1_loss(x, y, None, None, "sum", 0.1)),
        (nn.HuberLoss("sum", 0.1)(x, y), F.huber_loss(x, y, "sum", 0.1)),
        (nn.BCELoss(weight, None, None, "sum")(p, y), F.binary_cross_entropy(p, y, weight, None, None, "sum")),
        (
            nn.BCEWithLogitsLoss(weight, None, None, "sum", weight * 2)(x, y),
            F.binary_cross_entropy_with_logits(x, y, weight, None, None, "sum", weight * 2),
        ),
        (nn.KLDivLoss(None, None, "batchmean", True)(x, y), F.kl_div(x, y, None, None, "batchmean", True)),
        (nn.NLLLoss(weight, None, 2, None, "sum")(x, target), F.nll_loss(x, target, weight, None, 2, None, "sum")),
        (
            nn.CrossEntropyLoss(weight, None, 2, None, "none", 0.3)(x, target),
            F.cross_entropy(x, target, weight, None, 2, None, "none", 0.3),
        ),
    ]:
        assert layer.tolist() == want.tolist()


def test_weights_are_buffers_and_saved():
    loss = nn.CrossEntropyLoss(weight=[1.0, 2.0])
    assert [name for name, _ in loss.named_buffers()] == ["weight"] and list(loss.parameters()) == []
    assert list(loss.state_dict()) == ["weight"] and list(nn.CrossEntropyLoss().state_dict()) == []
    loss.half()
    assert loss.weight.dtype == lucid.float16
    assert list(nn.BCEWithLogitsLoss(pos_weight=np.ones(3)).state_dict()) == ["pos_weight"]


@pytest.mark.parametrize(
    ("options", "reduction"),
    [
        ({"size_average": True}, "mean"),
        ({"size_average": False}, "sum"),
        ({"reduce": True}, "mean"),
        ({"reduce": False}, "none"),
        ({"size_average": False, "reduce": False}, "none"),
        ({"size_average": False, "reduce": True}, "sum"),
    ],
)
@pytest.mark.parametrize("loss", [nn.MSELoss, nn.CrossEntropyLoss, nn.BCELoss, nn.KLDivLoss])
def test_deprecated_options_set_the_reduction_and_warn(loss, options, reduction):
    message = rf"{loss.__name__}: size_average and reduce are deprecated; pass reduction='{reduction}'"
    with pytest.warns(UserWarning, match=message) as seen:
        assert loss(**options).reduction == reduction
    assert [one.filename for one in seen] == [__file__]


def test_deprecated_options_keep_their_places():
    assert nn.CrossEntropyLoss(None, None, 255).ignore_index == 255
    assert nn.CrossEntropyLoss(None, None, 255, None, "sum", 0.1).reduction == "sum"
    with pytest.warns(UserWarning, match="MSELoss: size_average and reduce are deprecated"):
        assert nn.MSELoss(False).reduction == "sum"
    with pytest.raises(
        TypeError, match=r"MSELoss: size_average \(deprecated\) must be a bool or None, got 'sum'; for a"
    ):
        nn.MSELoss("sum")


def test_reprs():
    assert repr(nn.MSELoss()) == "MSELoss(reduction='mean')"
    assert repr(nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=3)) == (
        "CrossEntropyLoss(reduction='mean', ignore_index=3, label_smoothing=0.1)"
    )
    assert repr(nn.KLDivLoss(reduction="batchmean")) == "KLDivLoss(reduction='batchmean', log_target=False)"


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda: nn.MSELoss(reduction="batchmean"),
            ValueError,
            "MSELoss: reduction must be 'mean', 'sum' or 'none', got 'batchm",
        ),
        (
            lambda: nn.KLDivLoss(reduction="all"),
            ValueError,
            "KLDivLoss: reduction must be .* or 'batchmean', got 'all'",
        ),
        (
            lambda: nn.CrossEntropyLoss(label_smoothing=2),
            ValueError,
            "CrossEntropyLoss: label_smoothing must be at least 0 and at most 1, got 2",
        ),
        (
            lambda: nn.CrossEntropyLoss(weight="a"),
            TypeError,
            "tensor: data of type str cannot be converted to a tensor",
        ),
        (lambda: nn.HuberLoss(delta=0), ValueError, "HuberLoss: delta must be above 0, got 0"),
        (lambda: nn.SmoothL1Loss(beta=-1), ValueError, "SmoothL1Loss: beta must be at least 0, got -1"),
        (lambda: nn.NLLLoss(ignore_index="a"), TypeError, "NLLLoss: ignore_index must be an integer, got 'a'"),
    ],
)
def test_invalid_options_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()


@pytest.mark.parametrize("sizes", [(), (4, 3)])
def test_linear_cross_entropy_is_a_layer_and_a_loss(sizes):
    weight = lucid.rand(5)
    criterion = nn.LinearCrossEntropyLoss(6, 5, out_features=sizes, bias=True, weight=weight, label_smoothing=0.1)
    x, target = lucid.randn(2, 6), lucid.randint(5, (2, *sizes))
    logits = criterion.linear(x).reshape(2, 5, *sizes)
    wanted = nn.CrossEntropyLoss(weight, label_smoothing=0.1)(logits, target)
    assert criterion(x, target).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert sorted(criterion.state_dict()) == ["linear.bias", "linear.weight", "weight"]


def test_linear_cross_entropy_checks_its_options():
    with pytest.raises(ValueError, match=r"LinearCrossEntropyLoss: weight must have shape \(5,\)"):
        nn.LinearCrossEntropyLoss(6, 5, weight=lucid.ones(4))
    with pytest.raises(TypeError, match="LinearCrossEntropyLoss: options must be None"):
        nn.LinearCrossEntropyLoss(6, 5, options=1)
