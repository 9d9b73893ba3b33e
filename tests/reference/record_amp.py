"""Record the dtypes that PyTorch's autocast gives on the CPU: ``python -m tests.reference.record_amp``.

Writes ``amp_dtypes.json``. Needs PyTorch and NumPy, not Lucid. An operation that refuses its operands is recorded as
"refused".
"""

import json

import torch

from tests.reference import amp_cases


def dtype(case: str) -> str:
    try:
        return amp_cases.run(torch, case, torch.tensor)
    except RuntimeError:
        return "refused"


def main() -> None:
    found = {case: dtype(case) for case in amp_cases.CASES}
    amp_cases.FILE.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{amp_cases.FILE.name}: {len(found)} operations")


if __name__ == "__main__":
    main()
