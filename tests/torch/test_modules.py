"""Hubs, parallel modules, samplers, saved models, and programs that are run."""

import io
import json
import os
import subprocess
import sys

import pytest

import lucid
import lucid.torch as torch
from lucid.torch import _safetensors, _saving, hub
from lucid.torch.distributed import _rendezvous


def test_parallel_modules_are_the_module_under_another_name():
    layer = torch.nn.Linear(2, 3)
    for wrapped in (torch.nn.DataParallel(layer, device_ids=[0]), torch.nn.parallel.DistributedDataParallel(layer)):
        assert wrapped.module is layer and list(wrapped.state_dict()) == ["module.weight", "module.bias"]
        assert torch.equal(wrapped(torch.ones(1, 2)), layer(torch.ones(1, 2)))
    with wrapped.no_sync():
        wrapped(torch.ones(1, 2)).sum().backward()
    assert layer.weight.grad is not None


@pytest.mark.parametrize(("count", "drop_last"), [(10, False), (10, True), (2, False), (2, True), (12, False)])
def test_distributed_samplers_have_equal_shares(count, drop_last):
    dataset = list(range(count))
    samplers = [
        torch.utils.data.DistributedSampler(dataset, 4, rank, shuffle=True, seed=3, drop_last=drop_last)
        for rank in range(4)
    ]
    shares = [list(one) for one in samplers]
    assert {len(share) for share in shares} == {len(samplers[0])}
    if not drop_last or count < 4:
        assert {index for share in shares for index in share} == set(dataset)
    samplers[0].set_epoch(1)
    assert count < 10 or list(samplers[0]) != shares[0]
    in_order = torch.utils.data.DistributedSampler(dataset, 4, 1, shuffle=False, drop_last=drop_last)
    assert next(iter(in_order)) == 1
    with pytest.raises(ValueError, match="DistributedSampler: rank must be from 0 to 3, got 4"):
        torch.utils.data.DistributedSampler(dataset, 4, 4)


def test_the_hub_loads_local_models_and_files(tmp_path, monkeypatch):
    (tmp_path / "hubconf.py").write_text(
        "import torch_names\ndef net(n=1):\n    'A net.'\n    return torch_names.K * n\n"
    )
    (tmp_path / "torch_names.py").write_text("K = 7\n")
    assert hub.load(str(tmp_path), "net", 2, source="local") == 14
    assert hub.list(str(tmp_path)) == ["net"] and hub.help(str(tmp_path), "net") == "A net."
    with pytest.raises(
        RuntimeError, match="torch.hub.load: Lucid does not download and run programs; clone owner/name"
    ):
        hub.load("owner/name", "net")
    with pytest.raises(FileNotFoundError, match="torch.hub.load: there is no file"):
        hub.load(str(tmp_path / "none"), "net", source="local")
    monkeypatch.setattr(hub, "_folder", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    assert hub.get_dir() == str(tmp_path / "home" / "hub")
    folder = tmp_path / "home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"w": torch.ones(2)}, folder / "net-abc.pth")
    assert hub.load_state_dict_from_url("https://example.invalid/net-abc.pth?x=1")["w"].tolist() == [1, 1]


class Net(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = torch.nn.Linear(width, 1)
        self.note = ["kept"]

    def forward(self, x):
        return self.layer(x)


def test_a_whole_model_comes_back_in_the_process_that_saved_it(tmp_path, monkeypatch):
    net = Net(3)
    path = tmp_path / "model"
    with path.open("wb") as file:
        torch.save(net, file)
    wanted = net(torch.ones(1, 3)).item()
    net.layer.weight.data.fill_(0.0)
    with path.open("rb") as file:
        found = torch.load(file, map_location="cpu", weights_only=False)
    assert isinstance(found, Net) and found(torch.ones(1, 3)).item() == wanted and found.note == ["kept"]
    assert lucid.load(path)["state_dict"]["layer.weight"].shape == (1, 3)
    monkeypatch.setattr(_saving, "_saved", {})
    with pytest.raises(RuntimeError, match=r"the file holds a whole tests\S*Net, which another process saved"):
        torch.load(path)


def test_saved_files_have_pytorch_s_format_whatever_their_name(tmp_path):
    torch.save({"model": {"w": torch.ones(2)}, "epoch": 1}, tmp_path / "state")
    assert (tmp_path / "state").read_bytes().startswith(b"PK")
    assert torch.load(tmp_path / "state")["epoch"] == 1
    file = io.BytesIO()
    torch.save([torch.ones(1)], file, pickle_protocol=4, _use_new_zipfile_serialization=False)
    assert torch.load(io.BytesIO(file.getvalue()))[0].item() == 1


def test_safetensors_functions_are_lucid_s(tmp_path):
    net = Net(3)
    _safetensors.save_model(net, tmp_path / "net.safetensors", {"format": "pt"})
    other = Net(3)
    assert _safetensors.load_model(other, tmp_path / "net.safetensors") == ([], [])
    assert torch.equal(other.layer.weight, net.layer.weight)
    data = _safetensors.save({"w": torch.ones(2)})
    assert _safetensors.load(data)["w"].tolist() == [1, 1]
    assert list(_safetensors.load_file(tmp_path / "net.safetensors", device="cpu")) == ["layer.bias", "layer.weight"]


def test_tensorboard_is_tensorboardx(tmp_path):
    pytest.importorskip("tensorboardX")
    with torch.utils.tensorboard.SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss", 1.0, 1)
    assert any(tmp_path.iterdir())


def test_tensorboard_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match="SummaryWriter needs tensorboardX, .*: pip install tensorboardX"):
        torch.utils.tensorboard.SummaryWriter  # noqa: B018


def launched(tmp_path, *arguments, script, **variables):
    (tmp_path / "program.py").write_text(script)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLX_", "OMPI", "PMI"))}
    command = [sys.executable, "-m", "lucid.torch", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120, env=environment | variables
    )


SCRIPT = """
import sys, os, json
import torch
assert __name__ == "__main__" and sys.modules["__main__"].__dict__ is globals()
print(json.dumps([sys.argv, os.path.basename(sys.path[0]), torch.__name__]))
sys.exit(len(sys.argv))
"""


def test_scripts_get_their_arguments_and_exit_status(tmp_path):
    done = launched(tmp_path, "program.py", "--lr", "3", script=SCRIPT)
    assert done.returncode == 3, done.stderr
    argv, folder, name = json.loads(done.stdout)
    assert argv == ["program.py", "--lr", "3"] and folder == tmp_path.name and name == "lucid.torch"
    done = launched(tmp_path, "-m", "program", "x", script=SCRIPT)
    assert done.returncode == 2 and json.loads(done.stdout)[0][1:] == ["x"], done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 2, "usage: python -m lucid.torch SCRIPT"),
        (["--help"], 0, "usage: python -m lucid.torch SCRIPT"),
        (["none.py"], 2, "lucid.torch: there is no file none.py"),
        (["--lr"], 2, "lucid.torch: expected a script or -m MODULE, got --lr"),
    ],
)
def test_wrong_calls_explain_themselves(tmp_path, arguments, status, text):
    done = launched(tmp_path, *arguments, script="")
    assert done.returncode == status and text in done.stdout + done.stderr


TWO = """
import os
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel as DDP

dist.init_process_group("gloo")
rank = dist.get_rank()
assert rank == int(os.environ["RANK"]) and dist.get_world_size() == 2 == int(os.environ["WORLD_SIZE"])
total = torch.tensor([float(rank + 1)])
dist.all_reduce(total)
gathered = [torch.zeros(1) for _ in range(2)]
dist.all_gather(gathered, torch.tensor([float(rank)]))
joined = torch.zeros(4)
dist.all_gather_into_tensor(joined, torch.full((2,), float(rank)))
first = torch.tensor([rank + 5])
dist.broadcast(first, 0)
torch.manual_seed(rank)
model = DDP(torch.nn.Linear(2, 1, bias=False))
(model(torch.full((1, 2), float(rank))).sum()).backward()
dist.barrier()
found = (total.item(), [g.item() for g in gathered], joined.tolist(), first.item(), model.module.weight.grad.tolist())
print(" ".join(map(str, found)) + "\\n", end="")  # in one piece, as both processes print
dist.destroy_process_group()
"""


@pytest.mark.skipif(not lucid.distributed.is_available(), reason="MLX has no backend for processes")
def test_processes_of_torchrun_work_together(tmp_path):
    done = launched(
        tmp_path, "-m", "torch.distributed.run", "--nproc_per_node=2", "program.py", script=TWO, PYTHONUNBUFFERED="1"
    )
    assert done.returncode == 0, done.stderr
    line = "3.0 [0.0, 1.0] [0.0, 0.0, 1.0, 1.0] 5 [[0.5, 0.5]]"
    assert done.stdout.splitlines() == [line, line]


def test_a_single_process_is_a_group_of_one(monkeypatch):
    code = """
import torch, torch.distributed as dist
dist.init_process_group(backend="nccl", init_method="env://", world_size=1, rank=0)
x = torch.ones(1)
assert dist.get_world_size() == 1 and dist.all_reduce(x, async_op=True).wait() and x.item() == 1
assert dist.new_group([0]) is None and dist.group.WORLD is None and dist.ReduceOp.SUM == "sum"
torch.multiprocessing.spawn(print, args=("ran",), nprocs=1)
"""
    done = subprocess.run(
        [sys.executable, "-c", f"import lucid.torch; lucid.torch.install()\n{code}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "0 ran\n", done.stderr


@pytest.mark.parametrize(
    ("variables", "given", "message"),
    [
        ({"WORLD_SIZE": "2"}, (None, -1, -1), "RANK must be a number, got None; start the program with torchrun"),
        ({}, (None, 2, 5), "rank must be from 0 to 1, got 5"),
        ({}, ("file:///x", 2, 0), "init_method must be env:// or tcp://HOST:PORT, got 'file:///x'"),
        ({"WORLD_SIZE": "two"}, (None, -1, -1), "WORLD_SIZE must be a number, got 'two'"),
        ({}, ("tcp://127.0.0.1:1", 2, 1), "rank 1 could not meet the others at 127.0.0.1:1"),
    ],
)
def test_processes_that_cannot_meet_say_why(monkeypatch, variables, given, message):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "MLX_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=f"torch.distributed.init_process_group: {message}"):
        _rendezvous.join(*given, timeout_s=0.3)


def test_the_variables_of_mlx_launch_are_published(monkeypatch, tmp_path):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "hosts.json").write_text('[["127.0.0.1:1"], ["127.0.0.1:2"]]')
    monkeypatch.setenv("MLX_RANK", "1")
    monkeypatch.setenv("MLX_HOSTFILE", str(tmp_path / "hosts.json"))
    _rendezvous.publish()
    assert [os.environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")] == ["1", "2", "0"]
