"""Record the logits of mmsegmentation's ``UPerHead`` and ``FCNHead`` on the maps in ``upernet_cases.py``.

    pip install torch && pip install --no-deps mmsegmentation mmengine mmcv-lite addict termcolor yapf rich ...
    python -m tests.reference.record_upernet

Needs neither Lucid nor a network.
"""

import sys
from unittest import mock

import mmcv
import numpy as np
import torch

mmcv.__version__ = "2.1.0"  # mmsegmentation 1.2.2 refuses 2.2, which differs in operations that are not used here
sys.modules["mmcv.ops"] = mock.MagicMock()  # compiled operations of other heads, which mmcv-lite does not have
sys.modules["timm"] = None  # optional there
from mmseg.models.decode_heads import FCNHead, UPerHead  # noqa: E402

from tests.reference.upernet_cases import (  # noqa: E402
    AUXILIARY_CHANNELS,
    CHANNELS,
    CLASSES,
    FILE,
    IMAGE,
    WIDTHS,
    drawn,
    maps,
)


@torch.no_grad()
def main() -> None:
    common = {
        "num_classes": CLASSES,
        "dropout_ratio": 0.1,
        "norm_cfg": {"type": "BN"},
        "align_corners": False,
        "loss_decode": {"type": "CrossEntropyLoss"},
    }
    heads = {
        "decode_head": UPerHead(
            in_channels=list(WIDTHS), in_index=[0, 1, 2, 3], pool_scales=(1, 2, 3, 6), channels=CHANNELS, **common
        ),
        "auxiliary_head": FCNHead(
            in_channels=WIDTHS[2], in_index=2, channels=AUXILIARY_CHANNELS, num_convs=1, concat_input=False, **common
        ),
    }
    results = {}
    for name, head in heads.items():
        state = head.state_dict()
        for key, value in state.items():
            if value.is_floating_point():
                value.copy_(torch.from_numpy(drawn(f"{name}.{key}", tuple(value.shape))))
        logits = head.eval()([torch.from_numpy(one) for one in maps()])
        resized = torch.nn.functional.interpolate(logits, IMAGE, mode="bilinear", align_corners=False)
        results[name] = logits.numpy()
        results[f"{name}.resized"] = resized[:1, :1, ::7, ::7].numpy()
        results[f"{name}.names"] = np.array(sorted(state))
    np.savez_compressed(FILE, **results)


if __name__ == "__main__":
    main()
