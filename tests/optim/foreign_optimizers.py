# ruff: noqa: C408, SIM300, UP008 - as people write it
"""Optimizers as people write them for PyTorch, in a module that both libraries can run.

``python -m tests.optim.foreign_optimizers``, in an environment with PyTorch, records what PyTorch computes.
"""

import math
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

FILE = Path(__file__).with_suffix(".npz")


def classes(torch: Any) -> SimpleNamespace:
    """The classes on top of ``torch.optim.Optimizer``."""

    class LARS(torch.optim.Optimizer):
        """As in timm: trust ratios, momentum, with in-place methods and a group key of its own."""

        def __init__(self, params, lr=1.0, momentum=0.9, weight_decay=0.01, trust_coeff=0.02, eps=1e-8, nesterov=True):
            defaults = dict(
                lr=lr, momentum=momentum, weight_decay=weight_decay, trust_coeff=trust_coeff, eps=eps, nesterov=nesterov
            )
            super().__init__(params, defaults)

        @torch.no_grad()
        def step(self, closure=None):
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                weight_decay, momentum = group["weight_decay"], group["momentum"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    grad = p.grad
                    if weight_decay != 0 and not group.get("no_trust", False):
                        w_norm = p.norm(2.0)
                        g_norm = grad.norm(2.0)
                        ratio = group["trust_coeff"] * w_norm / (g_norm + w_norm * weight_decay + group["eps"])
                        one = torch.ones_like(ratio)
                        ratio = torch.where(w_norm > 0, torch.where(g_norm > 0, ratio, one), one)
                        grad = grad.add(p, alpha=weight_decay)
                        grad = grad.mul(ratio)
                    state = self.state[p]
                    if "momentum_buffer" not in state:
                        buf = state["momentum_buffer"] = torch.clone(grad).detach()
                    else:
                        buf = state["momentum_buffer"]
                        buf.mul_(momentum).add_(grad)
                    grad = grad.add(buf, alpha=momentum) if group["nesterov"] else buf
                    p.add_(grad, alpha=-group["lr"])
            return loss

    class Lamb(torch.optim.Optimizer):
        """In the style of PyTorch 1: state of Python numbers, ``p.data`` and ``p.grad.data``."""

        def __init__(self, params, lr=1e-2, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
            if not 0.0 <= lr:
                raise ValueError(f"Invalid learning rate: {lr}")
            defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
            super(Lamb, self).__init__(params, defaults)

        def step(self, closure=None):
            loss = None
            if closure is not None:
                loss = closure()
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    grad = p.grad.data
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = 0
                        state["exp_avg"] = torch.zeros_like(p.data)
                        state["exp_avg_sq"] = torch.zeros_like(p.data)
                    exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
                    beta1, beta2 = group["betas"]
                    state["step"] += 1
                    exp_avg.mul_(beta1).add_(grad, alpha=1 - beta1)
                    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
                    step_size = group["lr"] * math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
                    weight_norm = p.data.pow(2).sum().sqrt().clamp(0, 10)
                    adam_step = exp_avg / exp_avg_sq.sqrt().add(group["eps"])
                    if group["weight_decay"] != 0:
                        adam_step.add_(p.data, alpha=group["weight_decay"])
                    adam_norm = adam_step.pow(2).sum().sqrt()
                    if weight_norm == 0 or adam_norm == 0:
                        trust_ratio = 1
                    else:
                        trust_ratio = weight_norm / adam_norm
                    state["trust_ratio"] = trust_ratio
                    p.data.add_(adam_step * trust_ratio, alpha=-step_size)
            return loss

    class TensorAdam(torch.optim.Optimizer):
        """The step count is a tensor, so that the step can be compiled."""

        def __init__(self, params, lr=1e-2, betas=(0.9, 0.999), eps=1e-8):
            super().__init__(params, dict(lr=lr, betas=betas, eps=eps))

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = torch.tensor(0.0)
                        state["exp_avg"] = torch.zeros_like(p)
                        state["exp_avg_sq"] = torch.zeros_like(p)
                    state["step"].add_(1)
                    state["exp_avg"].lerp_(p.grad, 1 - beta1)
                    state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                    first = 1 - beta1 ** state["step"]
                    second = (1 - beta2 ** state["step"]).sqrt()
                    denominator = (state["exp_avg_sq"].sqrt() / second).add_(group["eps"])
                    p.sub_(group["lr"] / first * state["exp_avg"] / denominator)

    class SAM(torch.optim.Optimizer):
        """davda54/sam: two steps, on top of another optimizer whose groups it shares."""

        def __init__(self, params, base_optimizer, rho=0.05, adaptive=False, **kwargs):
            defaults = dict(rho=rho, adaptive=adaptive, **kwargs)
            super().__init__(params, defaults)
            self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
            self.param_groups = self.base_optimizer.param_groups
            self.defaults.update(self.base_optimizer.defaults)

        @torch.no_grad()
        def first_step(self, zero_grad=False):
            grad_norm = self._grad_norm()
            for group in self.param_groups:
                scale = group["rho"] / (grad_norm + 1e-12)
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    self.state[p]["old_p"] = p.data.clone()
                    e_w = (torch.pow(p, 2) if group["adaptive"] else 1.0) * p.grad * scale.to(p)
                    p.add_(e_w)
            if zero_grad:
                self.zero_grad()

        @torch.no_grad()
        def second_step(self, zero_grad=False):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    p.data = self.state[p]["old_p"]
            self.base_optimizer.step()
            if zero_grad:
                self.zero_grad()

        @torch.no_grad()
        def step(self, closure=None):
            assert closure is not None
            closure = torch.enable_grad()(closure)
            self.first_step(zero_grad=True)
            closure()
            self.second_step()

        def _grad_norm(self):
            shared_device = self.param_groups[0]["params"][0].device
            return torch.norm(
                torch.stack(
                    [
                        ((torch.abs(p) if group["adaptive"] else 1.0) * p.grad).norm(p=2).to(shared_device)
                        for group in self.param_groups
                        for p in group["params"]
                        if p.grad is not None
                    ]
                ),
                p=2,
            )

    class Lookahead(torch.optim.Optimizer):
        """As in timm, which does not call super().__init__() on purpose."""

        def __init__(self, base_optimizer, alpha=0.5, k=2):
            self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks = {}, {}
            defaults = dict(lookahead_alpha=alpha, lookahead_k=k, lookahead_step=0)
            self._base_optimizer = base_optimizer
            self.param_groups = base_optimizer.param_groups
            self.defaults = base_optimizer.defaults
            self.defaults.update(defaults)
            self.state = defaultdict(dict)
            for name, default in defaults.items():
                for group in self._base_optimizer.param_groups:
                    group.setdefault(name, default)

        @torch.no_grad()
        def update_slow(self, group):
            for fast_p in group["params"]:
                if fast_p.grad is None:
                    continue
                param_state = self._base_optimizer.state[fast_p]
                if "lookahead_slow_buff" not in param_state:
                    param_state["lookahead_slow_buff"] = torch.empty_like(fast_p)
                    param_state["lookahead_slow_buff"].copy_(fast_p)
                slow = param_state["lookahead_slow_buff"]
                slow.add_(fast_p - slow, alpha=group["lookahead_alpha"])
                fast_p.copy_(slow)

        @torch.no_grad()
        def step(self, closure=None):
            loss = self._base_optimizer.step(closure)
            for group in self._base_optimizer.param_groups:
                group["lookahead_step"] += 1
                if group["lookahead_step"] % group["lookahead_k"] == 0:
                    self.update_slow(group)
            return loss

        def state_dict(self):
            return self._base_optimizer.state_dict()

        def load_state_dict(self, state_dict):
            self._base_optimizer.load_state_dict(state_dict)
            self.param_groups = self._base_optimizer.param_groups

    class GradientCentralized(torch.optim.SGD):
        """A step that changes the gradients and calls that of its base class."""

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None and p.grad.dim() > 1:
                        p.grad.data.add_(-p.grad.data.mean(dim=tuple(range(1, p.grad.dim())), keepdim=True))
            return super().step(closure)

    return SimpleNamespace(
        LARS=LARS,
        Lamb=Lamb,
        TensorAdam=TensorAdam,
        SAM=SAM,
        Lookahead=Lookahead,
        GradientCentralized=GradientCentralized,
    )


def makers(torch: Any) -> dict[str, Any]:
    """Functions of parameters that make each optimizer."""
    own = classes(torch)

    def groups(parameters: list[Any], **second: Any) -> list[dict[str, Any]]:
        return [{"params": parameters[:2]}, {"params": parameters[2:], "name": "rest", **second}]

    return {
        "LARS": lambda ps: own.LARS(groups(ps, lr=0.02, no_trust=True), lr=0.1),
        "Lamb": lambda ps: own.Lamb(groups(ps, weight_decay=0.0), lr=0.1),
        "TensorAdam": lambda ps: own.TensorAdam(groups(ps, lr=0.3), lr=0.1),
        "SAM": lambda ps: own.SAM(groups(ps), torch.optim.SGD, lr=0.1, momentum=0.9, adaptive=True),
        "Lookahead": lambda ps: own.Lookahead(torch.optim.AdamW(groups(ps, weight_decay=0.3), lr=0.1)),
        "GradientCentralized": lambda ps: own.GradientCentralized(groups(ps), lr=0.1, momentum=0.9),
    }


SHAPES = ((), (4,), (3, 2), (2, 3, 2))


def run(torch: Any, make: Any, tensor: Any, steps: int = 5) -> tuple[list[Any], Any]:
    """The parameters after a few steps of a quartic function, and the optimizer."""
    parameters = []
    for i, shape in enumerate(SHAPES):
        count = math.prod(shape)
        values = [math.sin(1.3 * j + 0.7 * i) for j in range(count)]
        parameters.append(tensor(values).reshape(shape).detach().requires_grad_())
    optimizer = make(parameters)
    for step in range(steps):

        def closure(step=step):
            optimizer.zero_grad()
            loss = sum(((p - 0.1 * step) ** 4).sum() + (p * p).sum() for p in parameters)
            loss.backward()
            return loss

        if type(optimizer).__name__ == "SAM":
            closure()
        optimizer.step(closure)
    return parameters, optimizer


def record() -> None:
    import torch

    found = {}
    for name, make in makers(torch).items():
        parameters, optimizer = run(torch, make, torch.tensor)
        found[name] = np.concatenate([p.detach().numpy().reshape(-1) for p in parameters])
        state = optimizer.state_dict()
        keys = {index: sorted(values) for index, values in state["state"].items()}
        found[f"{name} layout"] = np.array(repr((keys, [list(group) for group in state["param_groups"]])))
    np.savez_compressed(FILE, **found)


if __name__ == "__main__":
    record()
