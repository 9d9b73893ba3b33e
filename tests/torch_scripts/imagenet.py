"""Training on a folder of images with resuming and top-k accuracy, in the style of PyTorch's example.

``imagenet.py FOLDER`` reads FOLDER/train/CLASS/*.png. It needs Pillow; torchvision is not used.
"""

import os
import shutil
import sys

import numpy as np
import torch
import torch.backends.cudnn as cudnn
import torch.distributed as dist
import torch.nn as nn
import torch.optim
import torch.utils.data
import torch.utils.data.distributed
from PIL import Image
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import Subset


class Folder(torch.utils.data.Dataset):
    def __init__(self, root):
        self.classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
        self.samples = [
            (os.path.join(root, name, file), number)
            for number, name in enumerate(self.classes)
            for file in sorted(os.listdir(os.path.join(root, name)))
        ]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path, target = self.samples[index]
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((24, 24)), dtype=np.float32) / 255
        return torch.from_numpy(pixels).permute(2, 0, 1).sub(0.5).div(0.25), target


class AverageMeter:
    def __init__(self):
        self.sum, self.count = 0.0, 0

    def update(self, val, n=1):
        self.sum += val * n
        self.count += n

    def all_reduce(self, device):
        total = torch.tensor([self.sum, self.count], dtype=torch.float32, device=device)
        dist.all_reduce(total, dist.ReduceOp.SUM, async_op=False)
        self.sum, self.count = total.tolist()

    @property
    def avg(self):
        return self.sum / self.count


def accuracy(output, target, topk=(1,)):
    with torch.no_grad():
        maxk = max(topk)
        _, pred = output.topk(maxk, 1, True, True)
        correct = pred.t().eq(target.view(1, -1).expand_as(pred.t()))
        return [correct[:k].reshape(-1).float().sum(0, keepdim=True).mul_(100.0 / target.size(0)) for k in topk]


class BasicBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.bn1(self.conv1(x)) + x)


def save_checkpoint(state, is_best, filename="checkpoint.pth.tar"):
    torch.save(state, filename)
    if is_best:
        shutil.copyfile(filename, "model_best.pth.tar")


dist.init_process_group(backend="gloo", init_method="env://", world_size=1, rank=0)
torch.manual_seed(0)
cudnn.deterministic, cudnn.benchmark = True, False
device = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
model = nn.Sequential(nn.Conv2d(3, 8, 3, 2), BasicBlock(8), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(8, 2))
model = torch.nn.parallel.DistributedDataParallel(model.to(device))
criterion = nn.CrossEntropyLoss().to(device)
optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
scheduler = StepLR(optimizer, step_size=30, gamma=0.1)
dataset = Folder(os.path.join(sys.argv[1], "train"))
sampler = torch.utils.data.distributed.DistributedSampler(dataset)
loader = torch.utils.data.DataLoader(
    dataset, batch_size=4, shuffle=(sampler is None), num_workers=2, pin_memory=True, sampler=sampler,
    persistent_workers=True, worker_init_fn=lambda number: None,
)  # fmt: skip
best = 0.0
for epoch in range(4):
    sampler.set_epoch(epoch)
    losses, top1 = AverageMeter(), AverageMeter()
    model.train()
    for i, (images, target) in enumerate(loader):
        images = images.to(device, non_blocking=True)
        target = target.to(device, non_blocking=True)
        output = model(images)
        loss = criterion(output, target)
        acc1, _ = accuracy(output, target, topk=(1, 2))
        losses.update(loss.item(), images.size(0))
        top1.update(acc1[0].item(), images.size(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    losses.all_reduce(device)
    scheduler.step()
    print(f"epoch {epoch}: loss {losses.avg:.3f}, top1 {top1.avg:.1f}, lr {scheduler.get_last_lr()[0]:.3f}")
    state = {
        "epoch": epoch + 1, "arch": "tiny", "state_dict": model.state_dict(), "best_acc1": best,
        "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(),
    }  # fmt: skip
    save_checkpoint(state, top1.avg > best)
    best = max(best, top1.avg)
checkpoint = torch.load("checkpoint.pth.tar", map_location=str(device))
model.load_state_dict(checkpoint["state_dict"])
optimizer.load_state_dict(checkpoint["optimizer"])
scheduler.load_state_dict(checkpoint["scheduler"])
model.eval()
with torch.no_grad():
    loader = torch.utils.data.DataLoader(Subset(dataset, range(len(dataset))), batch_size=8)
    right = sum(accuracy(model(images), target)[0].item() * len(target) for images, target in loader)
assert checkpoint["epoch"] == 4 and best > 80 and right / len(dataset) > 80, (best, right)
dist.barrier()
dist.destroy_process_group()
