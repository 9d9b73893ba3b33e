"""SyncBatchNorm in two processes equals BatchNorm of the whole batch in one."""

import numpy as np
import pytest

import lucid
from lucid import nn
from tests.distributed import sync_batch_norm
from tests.distributed.launching import finish, start_ring


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sync")
    for code, _, errors in finish(start_ring(2, folder, sync_batch_norm.__file__, str(folder))):
        assert code == 0, errors
    return folder


@pytest.mark.parametrize("kind", ["eager", "compiled"])
def test_two_processes_equal_one(folder, kind):
    whole = sync_batch_norm.trained(0, sum(sync_batch_norm.SIZES), False)
    parts = [np.load(folder / f"{kind}-{rank}.npz") for rank in (0, 1)]
    for name, wanted in whole.items():
        if name.startswith(("output", "gradient")):
            np.testing.assert_allclose(np.concatenate([one[name] for one in parts]), wanted, rtol=1e-4, atol=1e-5)
        else:
            for one in parts:
                np.testing.assert_allclose(one[name], wanted, rtol=1e-4, atol=1e-5, err_msg=name)


def test_conversion_keeps_the_tensors():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4, 0.1, None, bias=False)), nn.BatchNorm1d(4)
    )
    before = {id(one) for one in (*model.parameters(), *model.buffers())}
    names = list(model.state_dict())
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model.eval())
    assert converted is model and list(model.state_dict()) == names
    assert {id(one) for one in (*model.parameters(), *model.buffers())} == before
    inner = model[1][0]
    assert type(inner) is type(model[2]) is nn.SyncBatchNorm and not inner.training
    assert (inner.eps, inner.momentum, inner.bias) == (0.1, None, None)
    single = nn.BatchNorm1d(3)
    assert nn.SyncBatchNorm.convert_sync_batchnorm(single).weight is single.weight


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match="SyncBatchNorm: process_group must be None, for all processes, got 1"):
        nn.SyncBatchNorm(3, process_group=1)
    with pytest.raises(ValueError, match=r"SyncBatchNorm: input must have at least 2 dimensions \(N, C, ...\), got"):
        nn.SyncBatchNorm(3)(lucid.ones(3))
    with pytest.raises(ValueError, match="SyncBatchNorm: input must have 3 channels, got shape"):
        nn.SyncBatchNorm(3)(lucid.ones(2, 4))
