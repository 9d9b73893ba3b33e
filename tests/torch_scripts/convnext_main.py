"""Training as the authors of ConvNeXt do it: layer-wise decay, a scaler with clipping, EMA, resuming; small."""

import argparse
import copy
import datetime
import json
import math
import time
from collections import defaultdict, deque
from pathlib import Path

import numpy as np
import torch
import torch.backends.cudnn as cudnn
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F
from torch import inf, optim


class DropPath(nn.Module):
    def __init__(self, drop_prob=0.0):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep_prob = 1 - self.drop_prob
        random_tensor = keep_prob + torch.rand((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device)
        return x.div(keep_prob) * random_tensor.floor_()


class LayerNorm(nn.Module):
    def __init__(self, normalized_shape, eps=1e-6, data_format="channels_last"):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(normalized_shape))
        self.bias = nn.Parameter(torch.zeros(normalized_shape))
        self.eps, self.data_format, self.normalized_shape = eps, data_format, (normalized_shape,)

    def forward(self, x):
        if self.data_format == "channels_last":
            return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        u = x.mean(1, keepdim=True)
        s = (x - u).pow(2).mean(1, keepdim=True)
        x = (x - u) / torch.sqrt(s + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class Block(nn.Module):
    def __init__(self, dim, drop_path):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = LayerNorm(dim)
        self.pwconv1, self.act, self.pwconv2 = nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(1e-2 * torch.ones(dim), requires_grad=True)
        self.drop_path = DropPath(drop_path) if drop_path > 0.0 else nn.Identity()

    def forward(self, x):
        input = x
        x = self.dwconv(x).permute(0, 2, 3, 1)
        x = self.gamma * self.pwconv2(self.act(self.pwconv1(self.norm(x))))
        return input + self.drop_path(x.permute(0, 3, 1, 2))


class ConvNeXt(nn.Module):
    def __init__(self, num_classes=4, depths=(1, 1), dims=(8, 16), drop_path_rate=0.1):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, dims[0], 4, 4), LayerNorm(dims[0], data_format="channels_first"))
        self.down = nn.Sequential(LayerNorm(dims[0], data_format="channels_first"), nn.Conv2d(dims[0], dims[1], 2, 2))
        rates = [x.item() for x in torch.linspace(0, drop_path_rate, sum(depths))]
        self.stages = nn.ModuleList(nn.Sequential(Block(dim, rate)) for dim, rate in zip(dims, rates))
        self.norm, self.head = nn.LayerNorm(dims[-1], eps=1e-6), nn.Linear(dims[-1], num_classes)
        self.apply(self._init_weights)

    def _init_weights(self, m):
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(m.weight, std=0.2)
            nn.init.constant_(m.bias, 0)

    def forward(self, x):
        x = self.stages[1](self.down(self.stages[0](self.stem(x))))
        return self.head(self.norm(x.mean([-2, -1])))


class SmoothedValue:
    def __init__(self, window_size=20):
        self.deque, self.total, self.count = deque(maxlen=window_size), 0.0, 0

    def update(self, value, n=1):
        self.deque.append(value)
        self.count += n
        self.total += value * n

    def synchronize_between_processes(self):
        if not (dist.is_available() and dist.is_initialized()):
            return
        t = torch.tensor([self.count, self.total], dtype=torch.float32, device=args.device)
        dist.barrier()
        dist.all_reduce(t)
        self.count, self.total = int(t[0].item()), t[1].item()

    @property
    def median(self):
        return torch.tensor(list(self.deque)).median().item()


class ModelEma:
    def __init__(self, model, decay):
        self.ema, self.decay = copy.deepcopy(model), decay
        self.ema.eval()
        for p in self.ema.parameters():
            p.requires_grad_(False)

    def update(self, model):
        with torch.no_grad():
            msd = model.state_dict()
            for k, ema_v in self.ema.state_dict().items():
                ema_v.copy_(ema_v * self.decay + (1.0 - self.decay) * msd[k].detach())


def get_grad_norm_(parameters, norm_type=2.0):
    parameters = [p for p in parameters if p.grad is not None]
    device = parameters[0].grad.device
    if norm_type == inf:
        return max(p.grad.detach().abs().max().to(device) for p in parameters)
    return torch.norm(torch.stack([torch.norm(p.grad.detach(), norm_type).to(device) for p in parameters]), norm_type)


class NativeScaler:
    state_dict_key = "amp_scaler"

    def __init__(self):
        self._scaler = torch.cuda.amp.GradScaler(enabled=torch.cuda.is_available())

    def __call__(self, loss, optimizer, clip_grad, parameters, update_grad):
        self._scaler.scale(loss).backward(create_graph=False)
        if not update_grad:
            return None
        self._scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip_grad) if clip_grad else get_grad_norm_(parameters)
        self._scaler.step(optimizer)
        self._scaler.update()
        return norm

    def state_dict(self):
        return self._scaler.state_dict()

    def load_state_dict(self, state_dict):
        self._scaler.load_state_dict(state_dict)


def get_parameter_groups(model, weight_decay, layer_decay):
    groups = defaultdict(lambda: {"params": []})
    for name, param in model.named_parameters():
        if not param.requires_grad:
            continue
        decay = 0.0 if len(param.shape) == 1 or name.endswith(".bias") else weight_decay
        depth = 2 if name.startswith(("norm", "head")) else int(name.startswith(("down", "stages.1")))
        group = groups[f"layer_{depth}_{decay}"]
        group.update(weight_decay=decay, lr_scale=layer_decay ** (2 - depth))
        group["params"].append(param)
    return list(groups.values())


parser = argparse.ArgumentParser("ConvNeXt", add_help=False)
parser.add_argument("--epochs", default=4, type=int)
parser.add_argument("--update_freq", default=2, type=int)
parser.add_argument("--lr", default=2e-2, type=float)
parser.add_argument("--clip_grad", default=None, type=float)
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
args = parser.parse_args()
torch.manual_seed(0)
np.random.seed(0)
cudnn.benchmark = True
device = torch.device(args.device)
labels = torch.arange(64) % 4
images = torch.randn(4, 3, 32, 32)[labels] + 0.2 * torch.randn(64, 3, 32, 32)
loader = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(images, labels), batch_size=8, drop_last=True,
    sampler=torch.utils.data.DistributedSampler(labels, num_replicas=1, rank=0, shuffle=True, seed=0),
)  # fmt: skip
model = ConvNeXt().to(device)
model_ema = ModelEma(model, decay=0.8)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = optim.AdamW(get_parameter_groups(model, 0.05, 0.8), lr=args.lr, eps=1e-8, betas=(0.9, 0.999))
loss_scaler = NativeScaler()
steps = args.epochs * len(loader) // args.update_freq
schedule = 1e-4 + 0.5 * (args.lr - 1e-4) * (1 + np.cos(np.pi * np.arange(steps) / steps))
losses, start_time, it = [], time.time(), 0
for epoch in range(args.epochs):
    loader.sampler.set_epoch(epoch)
    meter = SmoothedValue()
    model.train(True)
    optimizer.zero_grad()
    for number, (samples, targets) in enumerate(loader):
        for group in optimizer.param_groups:
            group["lr"] = schedule[it] * group.get("lr_scale", 1.0)
        samples, targets = samples.to(device, non_blocking=True), targets.to(device, non_blocking=True)
        with torch.cuda.amp.autocast(enabled=torch.cuda.is_available()):
            loss = criterion(model(samples), targets)
        loss_value = loss.item()
        assert math.isfinite(loss_value)
        update = (number + 1) % args.update_freq == 0
        grad_norm = loss_scaler(loss / args.update_freq, optimizer, args.clip_grad, model.parameters(), update)
        if update:
            optimizer.zero_grad()
            model_ema.update(model)
            it += 1
        torch.cuda.synchronize() if torch.cuda.is_available() else None
        meter.update(loss_value, len(targets))
    meter.synchronize_between_processes()
    losses.append(meter.total / meter.count)
    print(json.dumps({"epoch": epoch, "loss": losses[-1], "norm": grad_norm.item(), "median": meter.median}))
output = Path("checkpoint-last.pth")
torch.save(
    {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch, "args": args,
        "scaler": loss_scaler.state_dict(), "model_ema": model_ema.ema.state_dict(),
    },
    output,
)  # fmt: skip
checkpoint = torch.load(output, map_location="cpu")
model.load_state_dict(checkpoint["model"])
optimizer.load_state_dict(checkpoint["optimizer"])
loss_scaler.load_state_dict(checkpoint["scaler"])
model_ema.ema.load_state_dict(checkpoint["model_ema"])
print("Training time", datetime.timedelta(seconds=int(time.time() - start_time)))
assert losses[-1] < 0.8 * losses[0], losses
