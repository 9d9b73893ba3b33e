"""Every scheduler matches PyTorch's learning rates and momenta, also after resuming."""

import json

import numpy as np
import pytest

import lucid
from lucid.optim import lr_scheduler
from tests.reference.scheduler_cases import CASES, FILE

RECORDS = np.load(FILE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_schedules_agree_with_pytorch(case):
    optimizer, scheduler = case.start(lucid)
    rows = [case.row(optimizer, scheduler)]
    for step in range(1, case.steps + 1):
        case.advance(optimizer, scheduler, step)
        rows.append(case.row(optimizer, scheduler))
    np.testing.assert_allclose(rows, RECORDS[case.name], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("middle", [0, 1, 7, 23])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_schedules_resume_from_a_saved_state(case, middle):
    optimizer, scheduler = case.start(lucid)
    for step in range(1, middle + 1):
        case.advance(optimizer, scheduler, step)
    saved = json.loads(json.dumps(scheduler.state_dict()))  # JSON-serializable
    saved_optimizer = optimizer.state_dict()

    optimizer, scheduler = case.start(lucid)
    scheduler.load_state_dict(saved)
    optimizer.load_state_dict(saved_optimizer)
    rows = [case.row(optimizer, scheduler)]
    for step in range(middle + 1, case.steps + 1):
        case.advance(optimizer, scheduler, step)
        rows.append(case.row(optimizer, scheduler))
    np.testing.assert_allclose(rows, RECORDS[case.name][middle:], rtol=1e-9, atol=1e-15)


def test_every_scheduler_is_recorded():
    words = {name for name in vars(lr_scheduler) if name[0].isupper()} - {"LRScheduler"}
    assert words == {case.name.partition(",")[0] for case in CASES}
