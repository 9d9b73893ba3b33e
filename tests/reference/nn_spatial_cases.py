"""Layers for images, signals and volumes, to compare as ``nn_cases`` does."""

from pathlib import Path

from tests.reference.nn_cases import layer

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
]  # fmt: skip
