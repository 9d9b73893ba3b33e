"""The variants: class and options by name."""

from typing import Any

from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic, ConvNeXtV2

Kind = type[ConvNeXt] | type[ConvNeXtIsotropic]


def _stages(depths: tuple[int, ...], width: int, **options: Any) -> dict[str, Any]:
    """Options of stages that double in width."""
    return {"depths": depths, "dims": tuple(width * 2**i for i in range(len(depths))), **options}


# Sources: Woo et al. 2023 and timm for atto to nano and V2; Liu et al. 2022 for tiny to xlarge and isotropic; timm for
# the others, and for V2 small, which has no published weights.
VARIANTS: dict[str, tuple[Kind, dict[str, Any]]] = {
    "convnext_atto": (ConvNeXt, _stages((2, 2, 6, 2), 40)),
    "convnext_femto": (ConvNeXt, _stages((2, 2, 6, 2), 48)),
    "convnext_pico": (ConvNeXt, _stages((2, 2, 6, 2), 64)),
    "convnext_nano": (ConvNeXt, _stages((2, 2, 8, 2), 80)),
    "convnext_tiny": (ConvNeXt, _stages((3, 3, 9, 3), 96)),
    "convnext_small": (ConvNeXt, _stages((3, 3, 27, 3), 96)),
    "convnext_base": (ConvNeXt, _stages((3, 3, 27, 3), 128)),
    "convnext_large": (ConvNeXt, _stages((3, 3, 27, 3), 192)),
    "convnext_xlarge": (ConvNeXt, _stages((3, 3, 27, 3), 256)),
    "convnext_xxlarge": (ConvNeXt, _stages((3, 4, 30, 3), 384, norm_eps=1e-5)),
    "convnext_large_mlp": (ConvNeXt, _stages((3, 3, 27, 3), 192, head_hidden_size=1536)),
    "convnext_tiny_hnf": (ConvNeXt, _stages((3, 3, 9, 3), 96, head_norm_first=True)),
    "convnext_atto_ols": (ConvNeXt, _stages((2, 2, 6, 2), 40, stem_type="overlap_tiered")),
    "convnext_femto_ols": (ConvNeXt, _stages((2, 2, 6, 2), 48, stem_type="overlap_tiered")),
    "convnext_pico_ols": (ConvNeXt, _stages((2, 2, 6, 2), 64, stem_type="overlap_tiered")),
    "convnext_nano_ols": (ConvNeXt, _stages((2, 2, 8, 2), 80, stem_type="overlap")),
    "convnextv2_atto": (ConvNeXtV2, _stages((2, 2, 6, 2), 40)),
    "convnextv2_femto": (ConvNeXtV2, _stages((2, 2, 6, 2), 48)),
    "convnextv2_pico": (ConvNeXtV2, _stages((2, 2, 6, 2), 64)),
    "convnextv2_nano": (ConvNeXtV2, _stages((2, 2, 8, 2), 80)),
    "convnextv2_tiny": (ConvNeXtV2, _stages((3, 3, 9, 3), 96)),
    "convnextv2_small": (ConvNeXtV2, _stages((3, 3, 27, 3), 96)),
    "convnextv2_base": (ConvNeXtV2, _stages((3, 3, 27, 3), 128)),
    "convnextv2_large": (ConvNeXtV2, _stages((3, 3, 27, 3), 192)),
    "convnextv2_huge": (ConvNeXtV2, _stages((3, 3, 27, 3), 352)),
    "convnext_isotropic_small": (ConvNeXtIsotropic, {"depth": 18, "dim": 384}),
    "convnext_isotropic_base": (ConvNeXtIsotropic, {"depth": 18, "dim": 768}),
    "convnext_isotropic_large": (ConvNeXtIsotropic, {"depth": 36, "dim": 1024}),
}
