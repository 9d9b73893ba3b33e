"""One function per variant: ``convnext_tiny(num_classes=10)`` is ``create_model("convnext_tiny", num_classes=10)``.

See ``create_model`` for the arguments.
"""

from collections.abc import Callable
from typing import Any

from lucid.models import registry
from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic, ConvNeXtV2

_create: Callable[..., Any] = registry.create_model  # Any, because the class of the result is known here


def convnext_atto(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """3.7 million parameters, 0.5 GMACs at 224 px."""
    return _create("convnext_atto", pretrained, num_classes=num_classes, **kwargs)


def convnext_femto(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """5.2 million parameters, 0.8 GMACs at 224 px."""
    return _create("convnext_femto", pretrained, num_classes=num_classes, **kwargs)


def convnext_pico(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """9.0 million parameters, 1.4 GMACs at 224 px."""
    return _create("convnext_pico", pretrained, num_classes=num_classes, **kwargs)


def convnext_nano(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """15.6 million parameters, 2.4 GMACs at 224 px."""
    return _create("convnext_nano", pretrained, num_classes=num_classes, **kwargs)


def convnext_tiny(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """28.6 million parameters, 4.5 GMACs at 224 px."""
    return _create("convnext_tiny", pretrained, num_classes=num_classes, **kwargs)


def convnext_small(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """50.2 million parameters, 8.7 GMACs at 224 px."""
    return _create("convnext_small", pretrained, num_classes=num_classes, **kwargs)


def convnext_base(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """88.6 million parameters, 15.4 GMACs at 224 px."""
    return _create("convnext_base", pretrained, num_classes=num_classes, **kwargs)


def convnext_large(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """197.8 million parameters, 34.4 GMACs at 224 px."""
    return _create("convnext_large", pretrained, num_classes=num_classes, **kwargs)


def convnext_xlarge(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """350.2 million parameters, 60.9 GMACs at 224 px."""
    return _create("convnext_xlarge", pretrained, num_classes=num_classes, **kwargs)


def convnext_xxlarge(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """846.5 million parameters, 151.6 GMACs at 224 px. Used by LAION's CLIP models."""
    return _create("convnext_xxlarge", pretrained, num_classes=num_classes, **kwargs)


def convnext_large_mlp(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """200.1 million parameters, 34.4 GMACs at 224 px. Large with a hidden layer in the head."""
    return _create("convnext_large_mlp", pretrained, num_classes=num_classes, **kwargs)


def convnext_tiny_hnf(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """28.6 million parameters, 4.5 GMACs at 224 px. Tiny with the norm before the pooling."""
    return _create("convnext_tiny_hnf", pretrained, num_classes=num_classes, **kwargs)


def convnext_atto_ols(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """3.7 million parameters, 0.6 GMACs at 224 px. Atto with an overlapping stem."""
    return _create("convnext_atto_ols", pretrained, num_classes=num_classes, **kwargs)


def convnext_femto_ols(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """5.2 million parameters, 0.8 GMACs at 224 px. Femto with an overlapping stem."""
    return _create("convnext_femto_ols", pretrained, num_classes=num_classes, **kwargs)


def convnext_pico_ols(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """9.1 million parameters, 1.4 GMACs at 224 px. Pico with an overlapping stem."""
    return _create("convnext_pico_ols", pretrained, num_classes=num_classes, **kwargs)


def convnext_nano_ols(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXt:
    """15.6 million parameters, 2.6 GMACs at 224 px. Nano with an overlapping stem."""
    return _create("convnext_nano_ols", pretrained, num_classes=num_classes, **kwargs)


def convnextv2_atto(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXtV2:
    """3.7 million parameters, 0.5 GMACs at 224 px."""
    return _create("convnextv2_atto", pretrained, num_classes=num_classes, **kwargs)


def convnextv2_femto(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXtV2:
    """5.2 million parameters, 0.8 GMACs at 224 px."""
    return _create("convnextv2_femto", pretrained, num_classes=num_classes, **kwargs)


def convnextv2_pico(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXtV2:
    """9.1 million parameters, 1.4 GMACs at 224 px."""
    return _create("convnextv2_pico", pretrained, num_classes=num_classes, **kwargs)


def convnextv2_nano(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXtV2:
    """15.6 million parameters, 2.4 GMACs at 224 px."""
    return _create("convnextv2_nano", pretrained, num_classes=num_classes, **kwargs)


def convnextv2_tiny(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXtV2:
    """28.6 million parameters, 4.5 GMACs at 224 px."""
    return _create("convnextv2_tiny", pretrained, num_classes=num_classes, **kwargs)


def convnextv2_small(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXtV2:
    """50.3 million parameters, 8.7 GMACs at 224 px. No pretrained weights exist."""
    return _create("convnextv2_small", pretrained, num_classes=num_classes, **kwargs)


def convnextv2_base(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXtV2:
    """88.7 million parameters, 15.4 GMACs at 224 px."""
    return _create("convnextv2_base", pretrained, num_classes=num_classes, **kwargs)


def convnextv2_large(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXtV2:
    """198.0 million parameters, 34.4 GMACs at 224 px."""
    return _create("convnextv2_large", pretrained, num_classes=num_classes, **kwargs)


def convnextv2_huge(num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any) -> ConvNeXtV2:
    """660.3 million parameters, 114.9 GMACs at 224 px."""
    return _create("convnextv2_huge", pretrained, num_classes=num_classes, **kwargs)


def convnext_isotropic_small(
    num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any
) -> ConvNeXtIsotropic:
    """22.3 million parameters, 4.3 GMACs at 224 px."""
    return _create("convnext_isotropic_small", pretrained, num_classes=num_classes, **kwargs)


def convnext_isotropic_base(
    num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any
) -> ConvNeXtIsotropic:
    """87.1 million parameters, 16.9 GMACs at 224 px."""
    return _create("convnext_isotropic_base", pretrained, num_classes=num_classes, **kwargs)


def convnext_isotropic_large(
    num_classes: int | None = None, *, pretrained: bool | str = False, **kwargs: Any
) -> ConvNeXtIsotropic:
    """305.9 million parameters, 59.7 GMACs at 224 px."""
    return _create("convnext_isotropic_large", pretrained, num_classes=num_classes, **kwargs)
