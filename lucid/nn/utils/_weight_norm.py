"""``weight_norm`` by a hook, as PyTorch had it before parametrizations."""

from typing import Any, TypeVar

from lucid import _checks
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.ops.weight_norm import norm_except_dim
from lucid.ops.weight_norm import weight_norm as normalized

M = TypeVar("M", bound=Module)


class WeightNorm:
    """A forward pre-hook that computes a parameter from its length and its direction."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Any:
        """The parameter in its present value."""
        return normalized(getattr(module, f"{self.name}_v"), getattr(module, f"{self.name}_g"), self.dim)

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def parameter_of(caller: str, module: Module, name: str) -> Parameter:
    """The parameter of ``module`` itself with this name."""
    if not isinstance(module, Module):
        raise TypeError(f"{caller}: module must be a Module, got {type(module).__name__}")
    found = module._parameters.get(name)
    if found is None:
        raise ValueError(f"{caller}: {type(module).__name__} has no parameter {name!r}")
    return found


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Replace the parameter ``name`` by its length ``name_g`` and direction ``name_v``, and return the module.

    ``dim`` is the dimension whose slices have a length each, or None for one of the whole. A hook computes the
    parameter before each forward pass. ``nn.utils.parametrizations.weight_norm`` is PyTorch's newer form.

    Example:
        >>> layer = nn.utils.weight_norm(nn.Linear(4, 3))
        >>> layer.weight_g.shape, layer.weight_v.shape
        ((3, 1), (3, 4))
    """
    weight = parameter_of("weight_norm", module, name)
    if any(isinstance(hook, WeightNorm) and hook.name == name for hook, _ in module._forward_pre_hooks.values()):
        raise RuntimeError(f"weight_norm: {name!r} is normalized already")
    if dim is not None:
        _checks.dim("weight_norm", dim, weight.ndim)
    hook = WeightNorm(name, dim)
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(norm_except_dim(weight.detach(), hook.dim)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach().clone()))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Undo ``weight_norm``: the parameter keeps its present value. Returns the module."""
    for number, (hook, _) in list(module._forward_pre_hooks.items()):
        if isinstance(hook, WeightNorm) and hook.name == name:
            weight = hook.compute_weight(module)
            for part in ("", "_g", "_v"):
                delattr(module, name + part)
            module.register_parameter(name, Parameter(weight.detach()))
            del module._forward_pre_hooks[number]
            return module
    raise ValueError(f"remove_weight_norm: {name!r} of {type(module).__name__} is not normalized")
