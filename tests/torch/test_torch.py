"""``lucid.torch`` has PyTorch's modules and names, answers truthfully, and explains what is missing."""

import subprocess
import sys
import types

import mlx.core as mx
import pytest

import lucid
import lucid.torch as torch
from lucid.torch import _install, _modules
from lucid.torch.version import TorchVersion


def run(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_names_are_lucid_s():
    assert torch.Tensor is lucid.Tensor and torch.relu is lucid.relu and torch.float32 is lucid.float32
    assert torch.nn.Linear is lucid.nn.Linear and torch.nn.functional.gelu is lucid.nn.functional.gelu
    assert torch.optim.AdamW is lucid.optim.AdamW and torch.optim.lr_scheduler.StepLR is lucid.optim.lr_scheduler.StepLR
    assert torch.utils.data.DataLoader is lucid.data.DataLoader
    assert torch.nn.modules.conv.Conv2d is torch.nn.Conv2d and torch.nn.parameter.Parameter is torch.nn.Parameter
    assert issubclass(torch.nn.BatchNorm2d, torch.nn.modules.batchnorm._BatchNorm)
    assert issubclass(torch.nn.Conv2d, torch.nn.modules.conv._ConvNd)
    assert issubclass(torch.nn.ConvTranspose2d, torch.nn.modules.conv._ConvNd)
    for name in ("batchnorm._BatchNorm", "batchnorm._NormBase", "conv._ConvNd", "conv._ConvTransposeNd", "loss._Loss"):
        module, _, kind = name.partition(".")
        base = getattr(getattr(torch.nn.modules, module), kind)
        assert base is not torch.nn.Module and not issubclass(torch.nn.Linear, base), name
    assert not issubclass(torch.nn.LayerNorm, torch.nn.modules.batchnorm._BatchNorm)
    assert torch.nn.init._calculate_fan_in_and_fan_out(torch.ones(3, 2)) == (2, 3)
    assert isinstance(torch.zeros(1), torch.autograd.Variable) and torch.autograd.Variable(torch.ones(1)).item() == 1
    assert {"relu", "nn", "save", "float32", "device"} <= set(dir(torch)) and "Linear" in dir(torch.nn)


def test_missing_names_say_what_to_do():
    for module, name in ((torch, "no_such"), (torch.nn, "NoSuch"), (torch.nn.functional, "no_such"), (torch.mps, "x")):
        with pytest.raises(AttributeError, match=rf"has no attribute '{name}': Lucid does not have it\. Write it with"):
            getattr(module, name)
        assert not hasattr(module, name)
    for name in ("data", "models", "metrics", "memory"):  # Lucid's own
        assert not hasattr(torch, name), name
    with pytest.raises(AttributeError, match=r"torch.onnx.export: Lucid has no torch.onnx"):
        torch.onnx.export(None)
    with pytest.raises(NotImplementedError, match=r"torch.fx.symbolic_trace: Lucid has no symbolic tracing"):
        torch.fx.symbolic_trace(None)
    with pytest.raises(AttributeError, match=r"torch.ops.torchvision.nms: Lucid has no operators"):
        torch.ops.torchvision.nms(None)


def test_import_torch_is_lucid_torch_after_install():
    code = """
import importlib.metadata, importlib.util, sys
import lucid
assert "lucid.torch" not in sys.modules
import lucid.torch
assert "torch" not in sys.modules
assert lucid.torch.install() is lucid.torch is lucid.torch.install()
import torch, torch.nn as nn, torch.nn.functional as F
from torch.utils.data.distributed import DistributedSampler
from torch.nn.modules.utils import _pair
from torch import *
assert torch is lucid.torch and nn.Linear is lucid.nn.Linear and F.relu is lucid.relu and relu is lucid.relu
assert importlib.metadata.version("torch") == torch.__version__ and importlib.util.find_spec("torch") is not None
for name in sys.argv[1:]:
    __import__(f"torch.{name}")
for name in ("torch.no_such", "torch._names"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        assert f"No module named {name!r} in lucid.torch: Lucid does not have it; remove the import" in str(error)
    else:
        raise AssertionError(name)
print("all")
"""
    names = [*_modules.ABSENT, *(name for name in _modules.MIRRORS if f"lucid.torch.{name}" in sys.modules)]
    done = run(code, *names, "cuda.amp", "backends.cudnn", "utils.checkpoint", "utils.tensorboard", "jit", "fx", "hub")
    assert done.stdout == "all\n", done.stderr


def test_install_refuses_beside_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    with pytest.raises(RuntimeError, match="PyTorch is already imported in this process; call install"):
        _install.install()


def test_the_version_compares_as_pytorch_s():
    version = torch.__version__
    assert isinstance(version, str) and version == "2.13.0+lucid" and version.split("+")[0] == "2.13.0"
    assert version >= "1.10" and version > (2, 9) and version < "2.13.1" and version <= (3, 0) and not version < "2.9"
    assert TorchVersion("2.0.0a0+git") >= "2.0" and TorchVersion("2.0") == "2.0" and torch.version.cuda is None


def test_dtypes_have_pytorch_s_attributes():
    assert torch.float16.is_floating_point and not torch.int8.is_floating_point and torch.complex64.is_complex
    assert torch.int8.is_signed and not torch.uint8.is_signed and torch.float64.itemsize == 8
    assert isinstance(torch.float32, torch.dtype) and torch.inf == float("inf") and torch.pi > 3.14


def test_backends_answer_for_this_machine():
    assert torch.backends.mps.is_available() == torch.mps.is_available() == mx.metal.is_available()
    has_cuda = mx.cuda.is_available()
    assert torch.cuda.is_available() == has_cuda and torch.cuda.device_count() == int(has_cuda)
    assert torch.accelerator.is_available() == (has_cuda or mx.metal.is_available())
    assert not torch.xpu.is_available() and not torch.backends.cudnn.is_available()
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    x = torch.ones(1000)
    assert x.sum().item() == 1000 and torch.cuda.memory_allocated() > 0 and torch.cuda.max_memory_allocated() > 0
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    end.record()
    assert start.elapsed_time(end) >= 0
    with torch.cuda.stream(torch.cuda.Stream()) as stream:
        stream.synchronize()
    if not has_cuda:
        with pytest.raises(RuntimeError, match=r"torch.cuda.get_device_name: there is no NVIDIA GPU"):
            torch.cuda.get_device_name()
        with pytest.raises(RuntimeError, match="device 'cuda:0' is not available here"):
            torch.cuda.set_device(0)
        state = torch.cuda.get_rng_state().tolist()
        torch.cuda.manual_seed_all(3)  # as in PyTorch, nothing without a GPU
        assert torch.cuda.get_rng_state().tolist() == state


def test_settings_are_kept():
    torch.set_float32_matmul_precision("high")
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision("highest")
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    torch.set_default_tensor_type("torch.FloatTensor")
    with pytest.raises(TypeError, match="set_default_tensor_type: the default is FloatTensor, got torch.HalfTensor"):
        torch.set_default_tensor_type("torch.HalfTensor")
    torch.set_num_threads(2)
    assert torch.get_num_threads() >= 1 and torch.typename(torch.ones(1)) == "torch.FloatTensor"


def test_the_former_places_of_autocast_have_their_own_order_of_arguments():
    with torch.cuda.amp.autocast(True, torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with torch.cuda.amp.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float16
    with torch.cuda.amp.autocast(enabled=False):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert torch.cuda.amp.GradScaler(8.0).scale(torch.ones(1)).item() == 8
    assert torch.cuda.amp.GradScaler(enabled=False).scale(torch.ones(1)).item() == 1

    class Double(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cuda", cast_inputs=torch.float32)
        def forward(ctx, x):
            return x * 2

        @staticmethod
        @torch.amp.custom_bwd(device_type="cuda")
        def backward(ctx, gradient):
            return gradient * 2

    x = torch.ones(2, dtype=torch.float16, requires_grad=True)
    with torch.amp.autocast("cuda", dtype=torch.float16):
        y = Double.apply(x)
    assert y.dtype == torch.float32
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_jit_leaves_functions_as_they_are():
    @torch.jit.script
    def double(x: torch.Tensor) -> torch.Tensor:
        return x * 2 if not torch.jit.is_scripting() else x

    class Net(torch.nn.Module):
        size: torch.jit.Final[int] = 3

        @torch.jit.ignore
        def a(self):
            return 1

        @torch.jit.unused
        def b(self):
            return 2

        @torch.jit.export
        def c(self):
            return 3

        @torch.jit.ignore(drop=True)
        def d(self):
            return 4

    net = Net()
    assert double(torch.ones(1)).item() == 2 and net.a() + net.b() + net.c() + net.d() == 10
    assert torch.jit.script(net) is net and torch.jit.trace(net, torch.ones(1)) is net
    assert not isinstance(net, torch.jit.ScriptModule) and torch.jit.wait(torch.jit.fork(double, torch.ones(1))) == 2
    with pytest.raises(RuntimeError, match="torch.jit.save: Lucid has no TorchScript programs"):
        torch.jit.save(net, "net.pt")


def test_pytrees_come_back_from_their_leaves():
    tree = {"a": [1, (2, 3)], "b": None}
    leaves, spec = torch.utils._pytree.tree_flatten(tree)
    assert leaves == [1, 2, 3, None] and spec.num_leaves == 4
    assert torch.utils._pytree.tree_unflatten(leaves, spec) == tree
    assert torch.utils._pytree.tree_map(str, tree) == {"a": ["1", ("2", "3")], "b": "None"}


def test_checkpointed_functions_have_the_same_gradients():
    layers = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(4)))
    x = torch.ones(2, 3, requires_grad=True)
    layers(x).sum().backward()
    wanted, x.grad = x.grad.clone(), None
    torch.utils.checkpoint.checkpoint(layers, x, use_reentrant=False, preserve_rng_state=True).sum().backward()
    assert torch.allclose(x.grad, wanted)
    x.grad = None
    torch.utils.checkpoint.checkpoint_sequential(layers, 2, x, use_reentrant=False).sum().backward()
    assert torch.allclose(x.grad, wanted)
