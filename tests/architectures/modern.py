"""Convolutional and MLP networks in the manner of Transformers."""

from tests.architectures.architecture import architecture, images, integers

IMAGES = images(2, 3, 16, 16), integers(5, 2)


def convnext_model(torch, version):
    nn = torch.nn
    F = nn.functional

    class LayerNorm2d(nn.LayerNorm):
        def forward(self, x):
            x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
            return x.permute(0, 3, 1, 2)

    class GRN(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.gamma = nn.Parameter(torch.zeros(1, 1, 1, dim))
            self.beta = nn.Parameter(torch.zeros(1, 1, 1, dim))

        def forward(self, x):
            gx = torch.norm(x, p=2, dim=(1, 2), keepdim=True)
            nx = gx / (gx.mean(dim=-1, keepdim=True) + 1e-6)
            return self.gamma * (x * nx) + self.beta + x

    class Block(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
            self.norm = nn.LayerNorm(dim, eps=1e-6)
            self.pwconv1, self.pwconv2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
            self.act = nn.GELU()
            self.grn = GRN(4 * dim) if version == 2 else nn.Identity()
            self.gamma = nn.Parameter(torch.ones(dim)) if version == 1 else None

        def forward(self, x):
            shortcut = x
            x = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
            x = self.pwconv2(self.grn(self.act(self.pwconv1(x))))
            if self.gamma is not None:
                x = self.gamma * x
            return shortcut + x.permute(0, 3, 1, 2)

    class ConvNeXt(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 2, 2), LayerNorm2d(8, eps=1e-6))
            self.downsample = nn.Sequential(LayerNorm2d(8, eps=1e-6), nn.Conv2d(8, 16, 2, 2))
            self.stage1 = nn.Sequential(Block(8), Block(8))
            self.stage2 = nn.Sequential(Block(16))
            self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

        def forward(self, x):
            x = self.stage2(self.downsample(self.stage1(self.stem(x))))
            return self.head(self.norm(x.mean([-2, -1])))

    return ConvNeXt()


@architecture(*IMAGES)
def convnext(torch):
    """Liu et al. 2022, arXiv:2201.03545."""
    return convnext_model(torch, 1)


@architecture(*IMAGES)
def convnext_v2(torch):
    """Woo et al. 2023, arXiv:2301.00808."""
    return convnext_model(torch, 2)


@architecture(*IMAGES)
def mlp_mixer(torch):
    """Tolstikhin et al. 2021, arXiv:2105.01601."""
    nn = torch.nn

    def mlp(dim, hidden):
        return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    class Block(nn.Module):
        def __init__(self, tokens, dim):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.token_mixing, self.channel_mixing = mlp(tokens, 8), mlp(dim, 16)

        def forward(self, x):
            x = x + self.token_mixing(self.norm1(x).transpose(1, 2)).transpose(1, 2)
            return x + self.channel_mixing(self.norm2(x))

    class Mixer(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 12, 4, 4)
            self.blocks = nn.ModuleList([Block(16, 12) for _ in range(2)])
            self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 5)

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x).mean(dim=1))

    return Mixer()


@architecture(*IMAGES)
def conv_mixer(torch):
    """Trockman and Kolter 2022, arXiv:2201.09792."""
    nn = torch.nn

    class Residual(nn.Sequential):
        def forward(self, x):
            return super().forward(x) + x

    def block(dim, kernel_size):
        return nn.Sequential(
            Residual(nn.Conv2d(dim, dim, kernel_size, groups=dim, padding="same"), nn.GELU(), nn.BatchNorm2d(dim)),
            nn.Conv2d(dim, dim, 1), nn.GELU(), nn.BatchNorm2d(dim),
        )  # fmt: skip

    return nn.Sequential(
        nn.Conv2d(3, 8, 2, 2), nn.GELU(), nn.BatchNorm2d(8), block(8, 5), block(8, 3),
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


@architecture(*IMAGES)
def poolformer(torch):
    """Yu et al. 2021, arXiv:2111.11418: average pooling instead of attention, GroupNorm of one group."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.norm1, self.norm2 = nn.GroupNorm(1, dim), nn.GroupNorm(1, dim)
            self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
            self.mlp = nn.Sequential(nn.Conv2d(dim, 2 * dim, 1), nn.GELU(), nn.Conv2d(2 * dim, dim, 1))
            self.scale1 = nn.Parameter(0.5 * torch.ones(dim, 1, 1))
            self.scale2 = nn.Parameter(0.5 * torch.ones(dim, 1, 1))

        def forward(self, x):
            y = self.norm1(x)
            x = x + self.scale1 * (self.pool(y) - y)
            return x + self.scale2 * self.mlp(self.norm2(x))

    return nn.Sequential(
        nn.Conv2d(3, 8, 7, stride=4, padding=2), Block(8), nn.Conv2d(8, 12, 3, stride=2, padding=1), Block(12),
        nn.GroupNorm(1, 12), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5),
    )  # fmt: skip


@architecture(*IMAGES)
def res_mlp(torch):
    """Touvron et al. 2021, arXiv:2105.03404: affine transforms instead of normalization."""
    nn = torch.nn

    class Affine(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.alpha, self.beta = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

        def forward(self, x):
            return torch.addcmul(self.beta, self.alpha, x)

    class Block(nn.Module):
        def __init__(self, tokens, dim):
            super().__init__()
            self.affine1, self.affine2 = Affine(dim), Affine(dim)
            self.scale1, self.scale2 = Affine(dim), Affine(dim)
            self.tokens, self.channels = nn.Linear(tokens, tokens), nn.Linear(dim, 2 * dim)
            self.out = nn.Linear(2 * dim, dim)

        def forward(self, x):
            x = x + self.scale1(self.tokens(self.affine1(x).mT).mT)
            return x + self.scale2(self.out(nn.functional.gelu(self.channels(self.affine2(x)), approximate="tanh")))

    class ResMLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Linear(48, 12)
            self.blocks = nn.Sequential(Block(16, 12), Block(16, 12))
            self.head = nn.Linear(12, 5)

        def forward(self, x):
            n = x.size(0)
            x = x.view(n, 3, 4, 4, 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(n, 16, 48)
            return self.head(self.blocks(self.patches(x)).mean(1))

    return ResMLP()
