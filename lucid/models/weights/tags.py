"""The published checkpoints that ``create_model(pretrained=...)`` loads, by name.

Names depend on the source:

- ``timm/convnext_tiny.fb_in1k``, also without ``timm/`` or with the prefix ``hf-hub:``: a repository on the hub;
- ``torchvision/convnext_tiny.tv_in1k``, also without ``torchvision/``, and ``convnext_tiny.IMAGENET1K_V1``;
- ``laion/CLIP-convnext_base_w-laion2B-s13B-b82K``: OpenCLIP's repository, for timm's copy of its image tower;
- ``facebook/convnext-tiny-224``: a repository on the hub for Hugging Face's transformers;
- ``official/convnext_tiny_1k_224_ema``: a file of the authors, also by its URL.

A branch, tag or commit after ``@`` pins a repository: ``timm/convnext_tiny.fb_in1k@main``.

Sources of the accuracies on ImageNet-1k:

- "authors": the READMEs of facebookresearch/ConvNeXt and facebookresearch/ConvNeXt-V2;
- "timm": results/results-imagenet.csv of huggingface/pytorch-image-models (commit 0173a139), at the test size, and the
  model list of timm for ``_TIMM_AT_224``;
- "torchvision": ``ConvNeXt_*_Weights`` in torchvision.models.

The authors' V1 weights are MIT, the copies of timm and transformers Apache-2.0, torchvision's weights BSD-3. The
authors licensed the V2 weights under CC-BY-NC 4.0, which also holds for copies, whatever their model cards say.

``tests/models/weights/test_tags.py`` compares the table with the metadata of timm and torchvision.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_NON_COMMERCIAL = ("cc-by-nc-4.0", "fair-noncommercial-research-license")


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy on ImageNet-1k in percent, reported by ``source`` for images of ``image_size`` px.

    Example:
        >>> models.find_tag("convnext_tiny.fb_in1k").top1
        82.1
    """

    top1: float
    image_size: int
    source: str


@dataclass(frozen=True)
class Tag:
    """One published checkpoint.

    Attributes:
        name: Full name, starting with the source.
        variant: Name of the architecture.
        source: "timm", "transformers", "torchvision" or "official".
        location: Repository on the hub, or URL of the file.
        license: License of the weights.
        num_classes: Outputs of the classifier; 0 if there is none.
        image_size: Size of the input images in px.
        crop_pct: Fraction of each side of the resized image that the crop keeps.
        crop_mode: "center" crops the image, "squash" resizes all of it to a square.
        interpolation: "bicubic" or "bilinear".
        mean, std: Normalization per channel, on the scale from 0 to 1.
        test_image_size, test_crop_pct: Size and crop at which timm reports the best accuracy, if they differ.
        resize_size: Size of the short side after resizing in px, if the source states it instead of ``crop_pct``.
        reported: Accuracies, the one at ``image_size`` first.
        revision: Branch, tag or commit of the repository; None for the main branch.

    Example:
        >>> tag = models.find_tag("convnext_tiny.fb_in1k")
        >>> tag.variant, tag.source, tag.license
        ('convnext_tiny', 'timm', 'apache-2.0')
    """

    name: str
    variant: str
    source: str
    location: str
    license: str
    num_classes: int
    image_size: int
    crop_pct: float
    crop_mode: str = "center"
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    test_image_size: int | None = None
    test_crop_pct: float | None = None
    resize_size: int | None = None
    reported: tuple[Accuracy, ...] = ()
    revision: str | None = None

    @property
    def top1(self) -> float | None:
        """The first reported accuracy in percent, or None."""
        return self.reported[0].top1 if self.reported else None

    @property
    def non_commercial(self) -> bool:
        """Whether the license forbids commercial use."""
        return self.license in _NON_COMMERCIAL

    @property
    def has_final_norm(self) -> bool:
        """False for weights of masked pretraining, which have no norm in front of the classifier."""
        return not self.location.endswith(".fcmae")


# Tag, classes, image size, crop_pct, crop_mode, test image size, test crop_pct, top-1 at the test size. The tags of a
# variant are in timm's order: the first is the default.
_TIMM: tuple[tuple[str, int, int, float, str, int | None, float | None, float | None], ...] = (
    ("convnext_atto.d2_in1k", 1000, 224, 0.875, "center", 288, 0.95, 77.008),
    ("convnext_femto.d1_in1k", 1000, 224, 0.875, "center", 288, 0.95, 78.716),
    ("convnext_pico.d1_in1k", 1000, 224, 0.875, "center", 288, 0.95, 80.414),
    ("convnext_nano.in12k_ft_in1k", 1000, 224, 0.95, "center", 288, 1.0, 82.862),
    ("convnext_nano.d1h_in1k", 1000, 224, 0.95, "center", 288, 1.0, 81.482),
    ("convnext_nano.r384_in12k_ft_in1k", 1000, 384, 1.0, "center", None, None, None),
    ("convnext_nano.in12k", 11821, 224, 0.95, "center", None, None, None),
    ("convnext_nano.r384_in12k", 11821, 384, 1.0, "center", None, None, None),
    ("convnext_nano.r384_ad_in12k", 11821, 384, 1.0, "center", None, None, None),
    ("convnext_tiny.in12k_ft_in1k", 1000, 224, 0.95, "center", 288, 1.0, 84.45),
    ("convnext_tiny.in12k_ft_in1k_384", 1000, 384, 1.0, "squash", None, None, 85.122),
    ("convnext_tiny.in12k", 11821, 224, 0.95, "center", None, None, None),
    ("convnext_tiny.fb_in22k_ft_in1k", 1000, 224, 0.875, "center", 288, 1.0, 78.898),
    ("convnext_tiny.fb_in1k", 1000, 224, 0.875, "center", 288, 1.0, 82.698),
    ("convnext_tiny.fb_in22k_ft_in1k_384", 1000, 384, 1.0, "squash", None, None, 84.088),
    ("convnext_tiny.fb_in22k", 21841, 224, 0.875, "center", None, None, None),
    ("convnext_tiny.dinov3_lvd1689m", 0, 224, 1.0, "center", None, None, None),
    ("convnext_tiny.eupe_lvd1689m", 0, 256, 1.0, "center", None, None, None),
    ("convnext_small.in12k_ft_in1k", 1000, 224, 0.95, "center", 288, 1.0, 85.33),
    ("convnext_small.in12k_ft_in1k_384", 1000, 384, 1.0, "squash", None, None, 86.182),
    ("convnext_small.in12k", 11821, 224, 0.95, "center", None, None, None),
    ("convnext_small.fb_in22k_ft_in1k", 1000, 224, 0.875, "center", 288, 1.0, 85.262),
    ("convnext_small.fb_in1k", 1000, 224, 0.875, "center", 288, 1.0, 83.7),
    ("convnext_small.fb_in22k_ft_in1k_384", 1000, 384, 1.0, "squash", None, None, 85.778),
    ("convnext_small.fb_in22k", 21841, 224, 0.875, "center", None, None, None),
    ("convnext_small.dinov3_lvd1689m", 0, 224, 1.0, "center", None, None, None),
    ("convnext_small.eupe_lvd1689m", 0, 256, 1.0, "center", None, None, None),
    ("convnext_base.fb_in22k_ft_in1k", 1000, 224, 0.875, "center", 288, 1.0, 86.274),
    ("convnext_base.fb_in1k", 1000, 224, 0.875, "center", 288, 1.0, 84.428),
    ("convnext_base.fb_in22k_ft_in1k_384", 1000, 384, 1.0, "squash", None, None, 86.796),
    ("convnext_base.fb_in22k", 21841, 224, 0.875, "center", None, None, None),
    ("convnext_base.clip_laion2b_augreg_ft_in12k_in1k", 1000, 256, 1.0, "center", None, None, 86.37),
    ("convnext_base.clip_laion2b_augreg_ft_in12k_in1k_384", 1000, 384, 1.0, "squash", None, None, 87.134),
    ("convnext_base.clip_laion2b_augreg_ft_in1k", 1000, 256, 1.0, "center", None, None, 86.158),
    ("convnext_base.clip_laiona_augreg_ft_in1k_384", 1000, 384, 1.0, "center", None, None, 86.502),
    ("convnext_base.clip_laion2b_augreg_ft_in12k", 11821, 256, 1.0, "center", None, None, None),
    ("convnext_base.clip_laion2b", 640, 256, 1.0, "center", None, None, None),
    ("convnext_base.clip_laion2b_augreg", 640, 256, 1.0, "center", None, None, None),
    ("convnext_base.clip_laiona", 640, 256, 1.0, "center", None, None, None),
    ("convnext_base.clip_laiona_320", 640, 320, 1.0, "center", None, None, None),
    ("convnext_base.clip_laiona_augreg_320", 640, 320, 1.0, "center", None, None, None),
    ("convnext_base.dinov3_lvd1689m", 0, 224, 1.0, "center", None, None, None),
    ("convnext_base.eupe_lvd1689m", 0, 256, 1.0, "center", None, None, None),
    ("convnext_large.fb_in22k_ft_in1k", 1000, 224, 0.875, "center", 288, 1.0, 87.026),
    ("convnext_large.fb_in1k", 1000, 224, 0.875, "center", 288, 1.0, 84.846),
    ("convnext_large.fb_in22k_ft_in1k_384", 1000, 384, 1.0, "squash", None, None, 87.472),
    ("convnext_large.fb_in22k", 21841, 224, 0.875, "center", None, None, None),
    ("convnext_large.dinov3_lvd1689m", 0, 224, 1.0, "center", None, None, None),
    ("convnext_xlarge.fb_in22k_ft_in1k", 1000, 224, 0.875, "center", 288, 1.0, 87.33),
    ("convnext_xlarge.fb_in22k_ft_in1k_384", 1000, 384, 1.0, "squash", None, None, 87.752),
    ("convnext_xlarge.fb_in22k", 21841, 224, 0.875, "center", None, None, None),
    ("convnext_xxlarge.clip_laion2b_soup_ft_in1k", 1000, 256, 1.0, "center", None, None, 88.604),
    ("convnext_xxlarge.clip_laion2b_soup_ft_in12k", 11821, 256, 1.0, "center", None, None, None),
    ("convnext_xxlarge.clip_laion2b_soup", 1024, 256, 1.0, "center", None, None, None),
    ("convnext_xxlarge.clip_laion2b_rewind", 1024, 256, 1.0, "center", None, None, None),
    ("convnext_large_mlp.clip_laion2b_soup_ft_in12k_in1k_320", 1000, 320, 1.0, "center", None, None, 87.958),
    ("convnext_large_mlp.clip_laion2b_soup_ft_in12k_in1k_384", 1000, 384, 1.0, "squash", None, None, 88.306),
    ("convnext_large_mlp.clip_laion2b_augreg_ft_in1k", 1000, 256, 1.0, "center", None, None, 87.334),
    ("convnext_large_mlp.clip_laion2b_augreg_ft_in1k_384", 1000, 384, 1.0, "squash", None, None, 87.848),
    ("convnext_large_mlp.clip_laion2b_soup_ft_in12k_320", 11821, 320, 1.0, "center", None, None, None),
    ("convnext_large_mlp.clip_laion2b_augreg_ft_in12k_384", 11821, 384, 1.0, "squash", None, None, None),
    ("convnext_large_mlp.clip_laion2b_soup_ft_in12k_384", 11821, 384, 1.0, "squash", None, None, None),
    ("convnext_large_mlp.clip_laion2b_augreg", 768, 256, 1.0, "center", None, None, None),
    ("convnext_large_mlp.clip_laion2b_ft_320", 768, 320, 1.0, "center", None, None, None),
    ("convnext_large_mlp.clip_laion2b_ft_soup_320", 768, 320, 1.0, "center", None, None, None),
    ("convnext_tiny_hnf.a2h_in1k", 1000, 224, 0.95, "center", 288, 1.0, 82.584),
    ("convnext_atto_ols.a2_in1k", 1000, 224, 0.875, "center", 288, 0.95, 77.216),
    ("convnext_femto_ols.d1_in1k", 1000, 224, 0.875, "center", 288, 0.95, 78.924),
    ("convnext_pico_ols.d1_in1k", 1000, 224, 0.95, "center", 288, 1.0, 80.464),
    ("convnext_nano_ols.d1h_in1k", 1000, 224, 0.95, "center", 288, 1.0, 81.6),
    ("convnextv2_atto.fcmae_ft_in1k", 1000, 224, 0.875, "center", 288, 0.95, 77.76),
    ("convnextv2_atto.fcmae", 0, 224, 0.875, "center", None, None, None),
    ("convnextv2_femto.fcmae_ft_in1k", 1000, 224, 0.875, "center", 288, 0.95, 79.338),
    ("convnextv2_femto.fcmae", 0, 224, 0.875, "center", None, None, None),
    ("convnextv2_pico.fcmae_ft_in1k", 1000, 224, 0.875, "center", 288, 0.95, 81.086),
    ("convnextv2_pico.fcmae", 0, 224, 0.875, "center", None, None, None),
    ("convnextv2_nano.fcmae_ft_in22k_in1k", 1000, 224, 0.875, "center", 288, 1.0, 82.664),
    ("convnextv2_nano.fcmae_ft_in22k_in1k_384", 1000, 384, 1.0, "squash", None, None, 83.374),
    ("convnextv2_nano.fcmae_ft_in1k", 1000, 224, 0.875, "center", 288, 1.0, 82.486),
    ("convnextv2_nano.fcmae", 0, 224, 0.875, "center", None, None, None),
    ("convnextv2_tiny.fcmae_ft_in22k_in1k", 1000, 224, 0.875, "center", 288, 1.0, 84.416),
    ("convnextv2_tiny.fcmae_ft_in22k_in1k_384", 1000, 384, 1.0, "squash", None, None, 85.106),
    ("convnextv2_tiny.fcmae_ft_in1k", 1000, 224, 0.875, "center", 288, 1.0, 83.464),
    ("convnextv2_tiny.fcmae", 0, 224, 0.875, "center", None, None, None),
    ("convnextv2_base.fcmae_ft_in22k_in1k", 1000, 224, 0.875, "center", 288, 1.0, 86.998),
    ("convnextv2_base.fcmae_ft_in22k_in1k_384", 1000, 384, 1.0, "squash", None, None, 87.644),
    ("convnextv2_base.fcmae_ft_in1k", 1000, 224, 0.875, "center", 288, 1.0, 85.474),
    ("convnextv2_base.fcmae", 0, 224, 0.875, "center", None, None, None),
    ("convnextv2_large.fcmae_ft_in22k_in1k", 1000, 224, 0.875, "center", 288, 1.0, 87.484),
    ("convnextv2_large.fcmae_ft_in22k_in1k_384", 1000, 384, 1.0, "squash", None, None, 88.198),
    ("convnextv2_large.fcmae_ft_in1k", 1000, 224, 0.875, "center", 288, 1.0, 86.118),
    ("convnextv2_large.fcmae", 0, 224, 0.875, "center", None, None, None),
    ("convnextv2_huge.fcmae_ft_in22k_in1k_384", 1000, 384, 1.0, "squash", None, None, 88.67),
    ("convnextv2_huge.fcmae_ft_in22k_in1k_512", 1000, 512, 1.0, "squash", None, None, 88.858),
    ("convnextv2_huge.fcmae_ft_in1k", 1000, 224, 0.875, "center", 288, 1.0, 86.58),
    ("convnextv2_huge.fcmae", 0, 224, 0.875, "center", None, None, None),
)  # fmt: skip

# OpenCLIP's repositories, all of laion, and timm's names for their image towers. Source: ``hf_hub_id`` in
# timm.models.convnext of timm 0.9.16.
_OPEN_CLIP = {
    "CLIP-convnext_base_w-laion2B-s13B-b82K": "convnext_base.clip_laion2b",
    "CLIP-convnext_base_w-laion2B-s13B-b82K-augreg": "convnext_base.clip_laion2b_augreg",
    "CLIP-convnext_base_w-laion_aesthetic-s13B-b82K": "convnext_base.clip_laiona",
    "CLIP-convnext_base_w_320-laion_aesthetic-s13B-b82K": "convnext_base.clip_laiona_320",
    "CLIP-convnext_base_w_320-laion_aesthetic-s13B-b82K-augreg": "convnext_base.clip_laiona_augreg_320",
    "CLIP-convnext_large_d.laion2B-s26B-b102K-augreg": "convnext_large_mlp.clip_laion2b_augreg",
    "CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft": "convnext_large_mlp.clip_laion2b_ft_320",
    "CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup": "convnext_large_mlp.clip_laion2b_ft_soup_320",
    "CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup": "convnext_xxlarge.clip_laion2b_soup",
    "CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-rewind": "convnext_xxlarge.clip_laion2b_rewind",
}

_TIMM_AT_224 = {
    "convnext_atto.d2_in1k": 75.7,
    "convnext_femto.d1_in1k": 77.5,
    "convnext_pico.d1_in1k": 79.5,
    "convnext_nano.d1h_in1k": 80.8,
}

# File of the authors, classes, top-1 at the size in its name, names of the same weights in timm and transformers.
_OFFICIAL: tuple[tuple[str, int, float | None, str | None, str | None], ...] = (
    ("convnext_tiny_1k_224_ema.pth", 1000, 82.1, "fb_in1k", "convnext-tiny-224"),
    ("convnext_small_1k_224_ema.pth", 1000, 83.1, "fb_in1k", "convnext-small-224"),
    ("convnext_base_1k_224_ema.pth", 1000, 83.8, "fb_in1k", "convnext-base-224"),
    ("convnext_base_1k_384.pth", 1000, 85.1, None, "convnext-base-384"),
    ("convnext_large_1k_224_ema.pth", 1000, 84.3, "fb_in1k", "convnext-large-224"),
    ("convnext_large_1k_384.pth", 1000, 85.5, None, "convnext-large-384"),
    ("convnext_tiny_22k_224.pth", 21841, None, "fb_in22k", None),
    ("convnext_tiny_22k_1k_224.pth", 1000, 82.9, "fb_in22k_ft_in1k", None),
    ("convnext_tiny_22k_1k_384.pth", 1000, 84.1, "fb_in22k_ft_in1k_384", None),
    ("convnext_small_22k_224.pth", 21841, None, "fb_in22k", None),
    ("convnext_small_22k_1k_224.pth", 1000, 84.6, "fb_in22k_ft_in1k", None),
    ("convnext_small_22k_1k_384.pth", 1000, 85.8, "fb_in22k_ft_in1k_384", None),
    ("convnext_base_22k_224.pth", 21841, None, "fb_in22k", "convnext-base-224-22k"),
    ("convnext_base_22k_1k_224.pth", 1000, 85.8, "fb_in22k_ft_in1k", "convnext-base-224-22k-1k"),
    ("convnext_base_22k_1k_384.pth", 1000, 86.8, "fb_in22k_ft_in1k_384", "convnext-base-384-22k-1k"),
    ("convnext_large_22k_224.pth", 21841, None, "fb_in22k", "convnext-large-224-22k"),
    ("convnext_large_22k_1k_224.pth", 1000, 86.6, "fb_in22k_ft_in1k", "convnext-large-224-22k-1k"),
    ("convnext_large_22k_1k_384.pth", 1000, 87.5, "fb_in22k_ft_in1k_384", "convnext-large-384-22k-1k"),
    ("convnext_xlarge_22k_224.pth", 21841, None, "fb_in22k", "convnext-xlarge-224-22k"),
    ("convnext_xlarge_22k_1k_224_ema.pth", 1000, 87.0, "fb_in22k_ft_in1k", "convnext-xlarge-224-22k-1k"),
    ("convnext_xlarge_22k_1k_384_ema.pth", 1000, 87.8, "fb_in22k_ft_in1k_384", "convnext-xlarge-384-22k-1k"),
    ("convnext_iso_small_1k_224_ema.pth", 1000, 78.7, None, None),
    ("convnext_iso_base_1k_224_ema.pth", 1000, 82.0, None, None),
    ("convnext_iso_large_1k_224_ema.pth", 1000, 82.6, None, None),
    ("convnextv2_atto_1k_224_ema.pt", 1000, 76.7, "fcmae_ft_in1k", "convnextv2-atto-1k-224"),
    ("convnextv2_femto_1k_224_ema.pt", 1000, 78.5, "fcmae_ft_in1k", "convnextv2-femto-1k-224"),
    ("convnextv2_pico_1k_224_ema.pt", 1000, 80.3, "fcmae_ft_in1k", "convnextv2-pico-1k-224"),
    ("convnextv2_nano_1k_224_ema.pt", 1000, 81.9, "fcmae_ft_in1k", "convnextv2-nano-1k-224"),
    ("convnextv2_tiny_1k_224_ema.pt", 1000, 83.0, "fcmae_ft_in1k", "convnextv2-tiny-1k-224"),
    ("convnextv2_base_1k_224_ema.pt", 1000, 84.9, "fcmae_ft_in1k", "convnextv2-base-1k-224"),
    ("convnextv2_large_1k_224_ema.pt", 1000, 85.8, "fcmae_ft_in1k", "convnextv2-large-1k-224"),
    ("convnextv2_huge_1k_224_ema.pt", 1000, 86.3, "fcmae_ft_in1k", "convnextv2-huge-1k-224"),
    ("convnextv2_nano_22k_224_ema.pt", 1000, 82.1, "fcmae_ft_in22k_in1k", "convnextv2-nano-22k-224"),
    ("convnextv2_nano_22k_384_ema.pt", 1000, 83.4, "fcmae_ft_in22k_in1k_384", "convnextv2-nano-22k-384"),
    ("convnextv2_tiny_22k_224_ema.pt", 1000, 83.9, "fcmae_ft_in22k_in1k", "convnextv2-tiny-22k-224"),
    ("convnextv2_tiny_22k_384_ema.pt", 1000, 85.1, "fcmae_ft_in22k_in1k_384", "convnextv2-tiny-22k-384"),
    ("convnextv2_base_22k_224_ema.pt", 1000, 86.8, "fcmae_ft_in22k_in1k", "convnextv2-base-22k-224"),
    ("convnextv2_base_22k_384_ema.pt", 1000, 87.7, "fcmae_ft_in22k_in1k_384", "convnextv2-base-22k-384"),
    ("convnextv2_large_22k_224_ema.pt", 1000, 87.3, "fcmae_ft_in22k_in1k", "convnextv2-large-22k-224"),
    ("convnextv2_large_22k_384_ema.pt", 1000, 88.2, "fcmae_ft_in22k_in1k_384", "convnextv2-large-22k-384"),
    ("convnextv2_huge_22k_384_ema.pt", 1000, 88.7, "fcmae_ft_in22k_in1k_384", "convnextv2-huge-22k-384"),
    ("convnextv2_huge_22k_512_ema.pt", 1000, 88.9, "fcmae_ft_in22k_in1k_512", "convnextv2-huge-22k-512"),
)  # fmt: skip

# Variant, file, resize size, top-1. The eight digits in the name are the start of the file's SHA-256.
_TORCHVISION = (
    ("convnext_tiny", "convnext_tiny-983f1562.pth", 236, 82.520),
    ("convnext_small", "convnext_small-0c510722.pth", 230, 83.616),
    ("convnext_base", "convnext_base-6075fbad.pth", 232, 84.062),
    ("convnext_large", "convnext_large-ea097f82.pth", 232, 84.414),
)


_OFFICIAL_URL = "https://dl.fbaipublicfiles.com/convnext/"
_TORCHVISION_URL = "https://download.pytorch.org/models/"


def _all_tags() -> list[Tag]:
    """Every tag. The first one of a variant is its default, timm's if there is one."""
    authors = {f"{_variant(file)}.{timm}": top1 for file, _, top1, timm, _ in _OFFICIAL}
    return [
        *(_timm_tag(*row, authors.get(row[0])) for row in _TIMM),
        *(_torchvision_tag(*row) for row in _TORCHVISION),
        *(_transformers_tag(*row) for row in _OFFICIAL if row[-1] is not None),
        *(_official_tag(*row[:3]) for row in _OFFICIAL),
    ]


def _timm_tag(
    name: str, classes: int, size: int, crop: float, mode: str, test_size: int | None, test_crop: float | None,
    top1: float | None, authors: float | None,
) -> Tag:  # fmt: skip
    variant, _, training = name.partition(".")
    if training.startswith("dinov3"):
        license = "dinov3-license"
    elif training.startswith("eupe"):
        license = "fair-noncommercial-research-license"
    else:
        license = _copied_license(variant)
    found = [(authors, size, "authors"), (_TIMM_AT_224.get(name), 224, "timm"), (top1, test_size or size, "timm")]
    mean, std = (CLIP_MEAN, CLIP_STD) if training.startswith("clip") else (IMAGENET_MEAN, IMAGENET_STD)
    return Tag(
        f"timm/{name}", variant, "timm", f"timm/{name}", license, classes, size, crop, mode, mean=mean, std=std,
        test_image_size=test_size, test_crop_pct=test_crop,
        reported=tuple(Accuracy(top1, at, source) for top1, at, source in found if top1 is not None),
    )  # fmt: skip


def _torchvision_tag(variant: str, file: str, resize: int, top1: float) -> Tag:
    return Tag(
        f"torchvision/{variant}.tv_in1k", variant, "torchvision", _TORCHVISION_URL + file, "bsd-3-clause", 1000,
        224, round(224 / resize, 4), interpolation="bilinear", resize_size=resize,
        reported=(Accuracy(top1, 224, "torchvision"),),
    )  # fmt: skip


def _official_tag(file: str, classes: int, top1: float | None) -> Tag:
    variant = _variant(file)
    folder, license = "", "mit"
    if variant.startswith("convnextv2"):
        folder, license = f"convnextv2/im{'22k' if '_22k_' in file else '1k'}/", "cc-by-nc-4.0"
    name = f"official/{file.partition('.')[0]}"
    return _authors_tag(name, file, "official", _OFFICIAL_URL + folder + file, license, classes, top1)


def _transformers_tag(file: str, classes: int, top1: float | None, _timm: str | None, repository: str | None) -> Tag:
    name = f"facebook/{repository}"
    return _authors_tag(name, file, "transformers", name, _copied_license(_variant(file)), classes, top1)


def _authors_tag(
    name: str, file: str, source: str, location: str, license: str, classes: int, top1: float | None
) -> Tag:
    size = next(size for size in (224, 384, 512) if str(size) in file)
    crop, mode = (0.875, "center") if size < 384 else (1.0, "squash")
    reported = () if top1 is None else (Accuracy(top1, size, "authors"),)
    return Tag(name, _variant(file), source, location, license, classes, size, crop, mode, reported=reported)


def _variant(file: str) -> str:
    """``convnext_tiny`` from ``convnext_tiny_1k_224_ema.pth``."""
    return re.sub(r"_\d+k_.*", "", file).replace("_iso_", "_isotropic_")


def _copied_license(variant: str) -> str:
    return "cc-by-nc-4.0" if variant.startswith("convnextv2") else "apache-2.0"


TAGS = {tag.name: tag for tag in _all_tags()}


def _aliases(tag: Tag) -> Iterable[str]:
    if tag.source in ("timm", "torchvision"):
        yield tag.name.partition("/")[2]
    if tag.source == "torchvision":
        yield f"{tag.variant}.IMAGENET1K_V1"
    if tag.location.startswith("https://"):
        yield tag.location


_ALIASES = {name: tag for tag in TAGS.values() for name in _aliases(tag)}
_ALIASES |= {f"laion/{name}": TAGS[f"timm/{timm}"] for name, timm in _OPEN_CLIP.items()}


def find_tag(name: str, caller: str = "pretrained") -> Tag:
    """Look up a published checkpoint by name.

    Raises:
        ValueError: There is no such checkpoint. The message starts with ``caller`` and suggests similar names.

    Example:
        >>> models.find_tag("convnext_tiny.fb_in1k").location
        'timm/convnext_tiny.fb_in1k'
    """
    wanted, _, revision = name.removeprefix("hf-hub:").removeprefix("hf_hub:").partition("@")
    tag = TAGS.get(wanted) or _ALIASES.get(wanted)
    if tag is None:
        known = [*TAGS, *_ALIASES]
        raise ValueError(
            f"{caller}: there is no checkpoint {name!r}; {similar_names(wanted, known, 'list_models(pretrained=True)')}"
        )
    if not revision:
        return tag
    if wanted.startswith("laion/"):  # the copy has other revisions
        raise ValueError(f"{caller}: {name!r} is no checkpoint of timm; from_checkpoint opens 'hf-hub:{wanted}@...'")
    if tag.source not in ("timm", "transformers"):
        raise ValueError(f"{caller}: {tag.name} is not in a hub repository, so it has no revisions, got {revision!r}")
    return replace(tag, name=f"{tag.name}@{revision}", revision=revision)


def tags_of(variant: str) -> list[Tag]:
    """All tags of a variant. The first one is loaded by ``pretrained=True``."""
    return [tag for tag in TAGS.values() if tag.variant == variant]


def similar_names(name: str, known: list[str], all_names: str) -> str:
    """A hint with similar names, of the same variant if there are any, or with the call that lists all names."""
    of_variant = [other for other in known if other.startswith(name.partition(".")[0] + ".")]
    found = difflib.get_close_matches(name, of_variant or known, 3, cutoff=0.3 if of_variant else 0.6)
    found = found or of_variant[:3]
    return f"did you mean {', '.join(found)}?" if found else f"see {all_names}"
