"""Layers for images, signals and volumes, to compare as ``nn_cases`` does."""

from pathlib import Path

import numpy as np

from tests.reference.nn_cases import ModuleCase, layer, wave

FILE = Path(__file__).with_name("nn_spatial.npz")

CASES = [
    layer("Conv3d", 4, 6, (3, 2, 1), stride=(1, 2, 1), padding=(1, 0, 1), groups=2, inputs=(1, 4, 4, 5, 3)),
    layer("Conv3d", 2, 3, 2, padding="same", dilation=2, bias=False, inputs=(2, 4, 4, 3)),
    *(
        layer("Conv3d", 2, 2, 2, padding=1, padding_mode=mode, inputs=(1, 2, 3, 4, 3))
        for mode in ("reflect", "replicate", "circular")
    ),
    layer("ConvTranspose3d", 4, 2, 2, stride=(2, 1, 2), padding=1, output_padding=(1, 0, 1), groups=2,
          inputs=(1, 4, 3, 3, 2)),
    layer("ConvTranspose3d", 2, 3, 2, 1, 0, 0, 1, False, 2, inputs=(1, 2, 2, 3, 2)),
    *(
        case
        for dims, shape in ((1, (2, 3, 7)), (3, (1, 2, 4, 5, 3)))
        for case in (
            layer(f"MaxPool{dims}d", 3, 2, 1, ceil_mode=True, inputs=shape),
            layer(f"AvgPool{dims}d", 3, 2, 1, True, False, inputs=shape),
            layer(f"AvgPool{dims}d", 2, inputs=shape[1:]),
        )
    ),
    layer("AvgPool3d", 2, divisor_override=3, inputs=(1, 2, 4, 5, 3)),
    *(
        case
        for dims, shape in ((1, (2, 3, 7)), (2, (1, 2, 6, 5)), (3, (1, 2, 4, 5, 3)))
        for case in (
            layer(f"LPPool{dims}d", 2, 2, inputs=shape),
            layer(f"LPPool{dims}d", 4, 3, 2, True, inputs=shape),
            layer(f"AdaptiveMaxPool{dims}d", 2, inputs=shape),
        )
    ),
    layer("AdaptiveMaxPool2d", (None, 3), inputs=(2, 4, 5)),
    layer("AdaptiveAvgPool1d", 3, inputs=(2, 3, 7)),
    layer("AdaptiveAvgPool3d", (2, None, 1), inputs=(1, 2, 4, 5, 3)),
    *(
        layer(f"{kind}Pad{dims}d", *arguments, inputs=shape)
        for dims, shape, sides in (
            (1, (2, 3, 5), (1, 3)), (2, (1, 2, 4, 5), (1, 2, 0, 3)), (3, (1, 2, 3, 4, 5), (1, 0, 2, 1, 2, 1))
        )
        for kind, arguments in (
            ("Circular", (sides,)), ("Constant", (sides, 0.5)), ("Reflection", (sides,)), ("Replication", (sides,)),
            ("Zero", (sides,)), ("Zero", (1,)),
        )
    ),
    layer("ReflectionPad2d", 2, inputs=(2, 4, 5), name="without batch"),
    layer("ConstantPad1d", (-1, 2), 3.0, inputs=(2, 3, 5)),
    layer("PixelShuffle", 2, inputs=(2, 8, 3, 2)),
    layer("PixelUnshuffle", 2, inputs=(2, 3, 4, 6)),
    layer("ChannelShuffle", 3, inputs=(2, 6, 3)),
    layer("Unfold", (2, 3), (2, 1), (1, 0), (1, 2), inputs=(2, 3, 5, 7)),
    layer("Fold", (4, 5), (2, 3), 1, (1, 0), (2, 1), inputs=(2, 12, 9)),
    layer("UpsamplingNearest2d", scale_factor=2, inputs=(1, 2, 3, 4)),
    layer("UpsamplingBilinear2d", size=(5, 3), inputs=(1, 2, 3, 4)),
    layer("Bilinear", 3, 4, 2, inputs=[(2, 5, 3), (2, 5, 4)]),
    layer("Bilinear", 3, 4, 2, bias=False, inputs=[(3,), (4,)]),
    layer("CosineSimilarity", dim=1, inputs=[(2, 5), (2, 5)]),
    layer("PairwiseDistance", inputs=[(2, 5), (2, 5)]),
    layer("PairwiseDistance", 3.0, 0.1, True, inputs=[(2, 5), (1, 5)]),
    *(
        layer(f"Dropout{dims}d", 0.3, inputs=shape, training=False)
        for dims, shape in ((1, (2, 3, 4)), (3, (1, 2, 3, 2, 2)))
    ),
    layer("AlphaDropout", 0.3, inputs=(2, 5), training=False),
    layer("FeatureAlphaDropout", 0.3, inputs=(2, 5, 3), training=False),
    *(
        layer("BatchNorm3d", 3, inputs=(2, 3, 2, 3, 2), training=training, calls=calls, **options)
        for options in ({}, {"momentum": None}, {"affine": False, "track_running_stats": False})
        for training, calls in ((True, 2), (False, 1))
    ),
    *(
        layer(f"InstanceNorm{dims}d", 3, inputs=shape, training=training, calls=calls, **options)
        for dims, shape in ((1, (2, 3, 5)), (2, (2, 3, 4, 2)), (3, (2, 3, 2, 3, 2)))
        for options in ({}, {"affine": True, "track_running_stats": True, "momentum": 0.3, "eps": 0.1})
        for training, calls in ((True, 2), (False, 1))
    ),
    layer("InstanceNorm2d", 3, affine=True, inputs=(3, 4, 5), name="without batch"),
    layer("SyncBatchNorm", 3, inputs=(2, 3, 4), calls=2),
    layer("SyncBatchNorm", 3, inputs=(2, 3, 4, 2), training=False),
    layer("LocalResponseNorm", 3, inputs=(2, 5, 4)),
    layer("LocalResponseNorm", 4, 0.5, 0.6, 2.0, inputs=(1, 5, 2, 3)),
    *(
        ModuleCase(
            f"MaxUnpool{dims}d",
            lambda lib, dims=dims: getattr(lib.nn, f"MaxUnpool{dims}d")(2),
            (wave((1, 2, *(2,) * dims), 0.3), 2 * np.arange(2 * 2**dims).reshape(1, 2, *(2,) * dims) % 4**dims),
        )
        for dims in (1, 2, 3)
    ),
]  # fmt: skip
