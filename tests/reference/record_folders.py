"""Record what timm and transformers compute from the folders that Lucid saves, and the configurations they write.

    pip install torch torchvision timm transformers
    python -m tests.reference.record_folders

Needs Lucid too. The weights are made from seeds, so only configurations and logits are recorded.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
import transformers
from timm.models._hub import save_for_hf

from tests.models.weights.folder_models import logits, opened_by_timm, opened_by_transformers, relative_error, saved
from tests.reference.folder_cases import CASES, CONFIGS, FILE


def main() -> None:
    arrays, configs = {}, {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = Path(folder, "model"), Path(folder, "theirs")
            model = saved(name, ours)
            if case.dialect == "timm":
                opened, outputs, pixels = opened_by_timm(ours, name)
                label_names = opened.pretrained_cfg.get("label_names")
                save_for_hf(
                    opened, str(theirs), safe_serialization=True,
                    model_config={"label_names": label_names} if label_names else None,
                )  # fmt: skip
            else:
                opened, outputs, pixels, processor = opened_by_transformers(ours, name)
                opened.save_pretrained(theirs)
                if processor is not None:
                    processor.save_pretrained(theirs)
            configs[name] = {
                f"{whose}/{path.name}": json.loads(path.read_text())
                for whose, place in (("lucid", ours), ("theirs", theirs))
                for path in sorted(place.glob("*config.json"))
            }
        arrays[f"{name}/logits"] = outputs
        if pixels is not None:
            arrays[f"{name}/pixels"] = pixels[:, ::4, ::4].astype(np.float16)
        print(f"{name}: logits of {case.dialect} differ by {relative_error(logits(model, name), outputs):.1e}")
    np.savez_compressed(FILE, **arrays)
    CONFIGS.write_text(json.dumps(configs, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    versions = ", ".join(f"{one.__name__} {one.__version__}" for one in (torch, timm, transformers))
    print(f"{FILE.name}: {FILE.stat().st_size // 1000} kB, {CONFIGS.stat().st_size // 1000} kB, {versions}")


if __name__ == "__main__":
    main()
