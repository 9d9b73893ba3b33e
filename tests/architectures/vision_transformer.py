"""Transformers of images, with attention written in matrix products."""

from tests.architectures.architecture import architecture, images, integers

IMAGES = images(2, 3, 16, 16), integers(5, 2)


def attention(torch, dim, heads):
    nn = torch.nn

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

        def forward(self, x):
            n, t, c = x.shape
            q, k, v = self.qkv(x).reshape(n, t, 3, heads, c // heads).permute(2, 0, 3, 1, 4).unbind(0)
            weight = ((q * (c // heads) ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1)
            return self.proj((weight @ v).transpose(1, 2).reshape(n, t, c))

    return Attention()


def block(torch, dim, mixer):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2, self.attn = nn.LayerNorm(dim), nn.LayerNorm(dim), mixer
            self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

        def forward(self, x):
            x = x + self.attn(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    return Block()


def vision_transformer(torch, tokens):
    """``tokens`` are the class token and, for DeiT, the distillation token."""
    nn = torch.nn

    class VisionTransformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch_embed = nn.Conv2d(3, 12, 4, 4)
            self.tokens = nn.Parameter(torch.zeros(1, tokens, 12))
            self.pos_embed = nn.Parameter(torch.zeros(1, 16 + tokens, 12))
            self.blocks = nn.Sequential(*(block(torch, 12, attention(torch, 12, 3)) for _ in range(2)))
            self.norm = nn.LayerNorm(12)
            self.heads = nn.ModuleList([nn.Linear(12, 5) for _ in range(tokens)])

        def forward(self, x):
            x = self.patch_embed(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.tokens.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
            x = self.norm(self.blocks(x))
            logits = [head(x[:, at]) for at, head in enumerate(self.heads)]
            return sum(logits) / tokens if not self.training or tokens == 1 else tuple(logits)

    return VisionTransformer()


@architecture(*IMAGES)
def vit(torch):
    """Dosovitskiy et al. 2020, arXiv:2010.11929."""
    return vision_transformer(torch, 1)


def distillation(torch, model, x, labels, teacher):
    """Cross-entropy of the class token, and divergence of the distillation token from a teacher at temperature 3."""
    F = torch.nn.functional
    outputs = model(x)
    logits, distilled = outputs if isinstance(outputs, tuple) else (outputs, outputs)
    divergence = F.kl_div(
        F.log_softmax(distilled / 3, dim=1), F.log_softmax(teacher / 3, dim=1), reduction="sum", log_target=True
    )
    return outputs, F.cross_entropy(logits, labels, label_smoothing=0.1) + divergence * 9 / distilled.numel()


@architecture(*IMAGES, images(2, 5), loss=distillation)
def deit(torch):
    """Touvron et al. 2020, arXiv:2012.12877, with a distillation token."""
    return vision_transformer(torch, 2)


@architecture(*IMAGES)
def swin(torch):
    """Liu et al. 2021, arXiv:2103.14030: shifted windows with a mask, a table of relative positions, patch merging."""
    nn = torch.nn
    window, heads = 4, 2

    class WindowAttention(nn.Module):
        def __init__(self, dim, size, shift):
            super().__init__()
            self.size, self.shift = size, shift
            self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
            self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
            coords = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
            relative = (coords[:, :, None] - coords[:, None, :]).permute(1, 2, 0) + window - 1
            self.register_buffer("index", relative[..., 0] * (2 * window - 1) + relative[..., 1])
            mask = torch.zeros(1, size, size, 1)
            if shift:
                parts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
                for at, (h, w) in enumerate((h, w) for h in parts for w in parts):
                    mask[:, h, w, :] = at
            mask = self.windows(mask).squeeze(-1)
            mask = mask.unsqueeze(1) - mask.unsqueeze(2)
            self.register_buffer("mask", mask.masked_fill(mask != 0, -100.0))

        def windows(self, x):
            n, h, w, c = x.shape
            x = x.view(n, h // window, window, w // window, window, c)
            return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, window * window, c)

        def forward(self, x):
            n, t, c = x.shape
            x = x.view(n, self.size, self.size, c)
            if self.shift:
                x = torch.roll(x, shifts=(-self.shift, -self.shift), dims=(1, 2))
            x = self.windows(x)
            b, area, _ = x.shape
            q, k, v = self.qkv(x).reshape(b, area, 3, heads, c // heads).permute(2, 0, 3, 1, 4)
            weight = q * (c // heads) ** -0.5 @ k.transpose(-2, -1)
            bias = self.relative_position_bias_table[self.index.view(-1)].view(area, area, heads).permute(2, 0, 1)
            weight = weight + bias.contiguous().unsqueeze(0)
            weight = weight.view(n, b // n, heads, area, area) + self.mask.unsqueeze(1).unsqueeze(0)
            weight = weight.view(-1, heads, area, area).softmax(-1)
            x = self.proj((weight @ v).transpose(1, 2).reshape(b, area, c))
            side = self.size // window
            x = x.view(n, side, side, window, window, c).permute(0, 1, 3, 2, 4, 5).reshape(n, self.size, self.size, c)
            if self.shift:
                x = torch.roll(x, shifts=(self.shift, self.shift), dims=(1, 2))
            return x.view(n, t, c)

    class PatchMerging(nn.Module):
        def __init__(self, dim, size):
            super().__init__()
            self.size = size
            self.norm, self.reduction = nn.LayerNorm(4 * dim), nn.Linear(4 * dim, 2 * dim, bias=False)

        def forward(self, x):
            n, t, c = x.shape
            x = x.view(n, self.size, self.size, c)
            x = torch.cat([x[:, i::2, j::2, :] for j in (0, 1) for i in (0, 1)], -1)
            return self.reduction(self.norm(x.view(n, t // 4, 4 * c)))

    class Swin(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 2, 2)
            self.layers = nn.Sequential(
                block(torch, 8, WindowAttention(8, 8, 0)), block(torch, 8, WindowAttention(8, 8, 2)),
                PatchMerging(8, 8), block(torch, 16, WindowAttention(16, 4, 0)), nn.LayerNorm(16),
            )  # fmt: skip
            self.head = nn.Linear(16, 5)

        def forward(self, x):
            x = self.layers(self.patches(x).flatten(2).transpose(1, 2))
            return self.head(nn.functional.adaptive_avg_pool1d(x.transpose(1, 2), 1).flatten(1))

    return Swin()
