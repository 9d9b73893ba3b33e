"""timm's ConvNeXt atto for a training step with mixup, AdamW with layer decay, clipping and its ModelEma."""

import timm
import torch
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.utils import ModelEma, accuracy

torch.manual_seed(0)
model = timm.create_model("convnext_atto", pretrained=False, num_classes=10, drop_path_rate=0.1)
assert sum(p.numel() for p in model.parameters()) == 3_377_730
ema = ModelEma(model, decay=0.9)
optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05, layer_decay=0.8)
mixup = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, num_classes=10)
samples, targets = mixup(torch.randn(2, 3, 32, 32), torch.randint(0, 10, (2,)))
before = {name: value.clone() for name, value in model.state_dict().items()}
loss = SoftTargetCrossEntropy()(model(samples), targets)
loss.backward()
norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
optimizer.step()
ema.update(model)
model.eval()
with torch.no_grad():
    top1, top5 = accuracy(ema.ema(samples), targets.argmax(1), topk=(1, 5))
moved = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
print(f"loss {loss.item():.3f}, gradient norm {norm.item():.3f}, {len(moved)} tensors moved, top5 {top5.item():.0f}")
assert len(moved) > 0.9 * len(before)
