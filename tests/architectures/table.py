"""All architectures by name."""

from tests.architectures import (
    convolutional,
    dense_prediction,
    generative,
    language,
    mobile,
    modern,
    other,
    recurrent,
    residual,
    vision_transformer,
)
from tests.architectures.architecture import ARCHITECTURES

FAMILIES = (
    residual, convolutional, mobile, modern, vision_transformer, dense_prediction, language, recurrent, generative,
    other,
)  # fmt: skip

__all__ = ["ARCHITECTURES", "FAMILIES"]
