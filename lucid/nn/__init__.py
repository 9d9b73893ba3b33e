"""Layers, their functional forms, and initialization, under PyTorch's names."""

from lucid.nn import functional, init, utils
from lucid.nn.activation import (
    ELU,
    GELU,
    GLU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softmax2d,
    Softmin,
    Softplus,
    Softsign,
    Tanh,
)
from lucid.nn.adaptive_pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
)
from lucid.nn.containers import ModuleDict, ModuleList, Sequential
from lucid.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from lucid.nn.dropout import Dropout, Dropout2d, DropPath
from lucid.nn.likelihood_loss import CTCLoss, GaussianNLLLoss, NLLLoss2d, PoissonNLLLoss
from lucid.nn.linear import Embedding, Identity, Linear
from lucid.nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from lucid.nn.margin_loss import (
    CosineEmbeddingLoss,
    HingeEmbeddingLoss,
    MarginRankingLoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    SoftMarginLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)
from lucid.nn.module import Module
from lucid.nn.normalization import BatchNorm1d, BatchNorm2d, GlobalResponseNorm, GroupNorm, LayerNorm, RMSNorm
from lucid.nn.parameter import Parameter
from lucid.nn.piecewise_activation import (
    CELU,
    SELU,
    Hardshrink,
    Hardtanh,
    PReLU,
    RReLU,
    Softshrink,
    Tanhshrink,
    Threshold,
)
from lucid.nn.pooling import (
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    LPPool1d,
    LPPool2d,
    LPPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from lucid.nn.shaping import Flatten, Unflatten, Upsample

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "BCELoss", "BCEWithLogitsLoss", "BatchNorm1d",
    "BatchNorm2d", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d",
    "CrossEntropyLoss", "DropPath", "Dropout", "Dropout2d", "ELU", "Embedding", "Flatten", "GELU", "GlobalResponseNorm",
    "GroupNorm", "Hardsigmoid", "Hardswish", "HuberLoss", "Identity", "KLDivLoss", "L1Loss", "LPPool1d", "LPPool2d",
    "LPPool3d", "LayerNorm", "LeakyReLU", "Linear", "LogSigmoid", "LogSoftmax", "MSELoss", "MaxPool1d", "MaxPool2d",
    "MaxPool3d", "Mish", "Module", "ModuleDict", "ModuleList", "NLLLoss", "Parameter", "RMSNorm", "ReLU", "ReLU6",
    "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax", "Softplus", "Tanh", "Unflatten", "Upsample",
    "functional", "init", "utils",
]  # fmt: skip
__all__ += [
    "CELU", "GLU", "Hardshrink", "Hardtanh", "PReLU", "RReLU", "SELU", "Softmax2d", "Softmin", "Softshrink",
    "Softsign", "Tanhshrink", "Threshold",
]  # fmt: skip
__all__ += [
    "CTCLoss", "CosineEmbeddingLoss", "GaussianNLLLoss", "HingeEmbeddingLoss", "MarginRankingLoss",
    "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss2d", "PoissonNLLLoss",
    "SoftMarginLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss",
]  # fmt: skip
