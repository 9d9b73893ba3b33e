"""Convolutional networks without residual blocks."""

from tests.architectures.architecture import architecture, images, integers
from tests.architectures.residual import IMAGES, conv


def conv_relu(nn, *args, **kwargs):
    return nn.Sequential(nn.Conv2d(*args, **kwargs), nn.ReLU(inplace=True))


@architecture(images(2, 1, 16, 16), integers(5, 2))
def lenet(torch):
    """LeCun et al. 1998, with its scaled tanh and average pooling."""
    nn = torch.nn

    class ScaledTanh(nn.Module):
        def forward(self, x):
            return 1.7159 * torch.tanh(2 / 3 * x)

    return nn.Sequential(
        nn.Conv2d(1, 6, 5), ScaledTanh(), nn.AvgPool2d(2), nn.Conv2d(6, 8, 3), ScaledTanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(32, 12), ScaledTanh(), nn.Linear(12, 5),
    )  # fmt: skip


@architecture(images(2, 3, 32, 32), integers(5, 2))
def alexnet(torch):
    """Krizhevsky 2014, arXiv:1404.5997."""
    nn = torch.nn
    return nn.Sequential(
        conv_relu(nn, 3, 8, 11, stride=2, padding=5), nn.MaxPool2d(3, 2), conv_relu(nn, 8, 12, 5, padding=2),
        nn.MaxPool2d(3, 2), conv_relu(nn, 12, 12, 3, padding=1), nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(),
        nn.Dropout(0.0), nn.Linear(48, 16), nn.ReLU(inplace=True), nn.Linear(16, 5),
    )  # fmt: skip


@architecture(images(2, 3, 16, 16), integers(5, 2))
def alexnet_2012(torch):
    """Krizhevsky et al. 2012: local response normalization, overlapping pooling, groups."""
    nn = torch.nn
    return nn.Sequential(
        conv_relu(nn, 3, 8, 5, padding=2), nn.LocalResponseNorm(5, alpha=0.1, k=2.0), nn.MaxPool2d(3, 2),
        conv_relu(nn, 8, 12, 3, padding=1, groups=2), nn.LocalResponseNorm(5, alpha=0.1, k=2.0), nn.MaxPool2d(3, 2),
        nn.Flatten(), nn.Linear(108, 5),
    )  # fmt: skip


@architecture(*IMAGES)
def vgg_bn(torch):
    """Simonyan and Zisserman 2014, arXiv:1409.1556, with batch normalization."""
    nn = torch.nn
    layers, channels = [], 3
    for width in (8, "M", 8, 12, "M"):
        if width == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 5))


@architecture(*IMAGES)
def squeezenet(torch):
    """Iandola et al. 2016, arXiv:1602.07360; pooling with ceil_mode."""
    nn = torch.nn

    class Fire(nn.Module):
        def __init__(self, cin, squeeze, expand):
            super().__init__()
            self.squeeze = conv_relu(nn, cin, squeeze, 1)
            self.expand1, self.expand3 = conv_relu(nn, squeeze, expand, 1), conv_relu(nn, squeeze, expand, 3, padding=1)

        def forward(self, x):
            x = self.squeeze(x)
            return torch.cat([self.expand1(x), self.expand3(x)], 1)

    return nn.Sequential(
        conv_relu(nn, 3, 8, 3, stride=2), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(8, 4, 6), Fire(12, 4, 8),
        conv_relu(nn, 16, 5, 1), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(),
    )  # fmt: skip


def concatenation(torch, *branches):
    class Concatenation(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.branches = torch.nn.ModuleList(branches)

        def forward(self, x):
            return torch.cat([branch(x) for branch in self.branches], dim=1)

    return Concatenation()


def with_auxiliary(torch, model, x, target):
    main, auxiliary = model(x)
    cross_entropy = torch.nn.functional.cross_entropy
    return (main, auxiliary), cross_entropy(main, target) + 0.3 * cross_entropy(auxiliary, target)


@architecture(*IMAGES, loss=with_auxiliary)
def googlenet(torch):
    """Szegedy et al. 2014, arXiv:1409.4842, with an auxiliary classifier."""
    nn = torch.nn

    def inception(cin):
        return concatenation(
            torch, conv_relu(nn, cin, 4, 1), nn.Sequential(conv_relu(nn, cin, 4, 1), conv_relu(nn, 4, 6, 3, padding=1)),
            nn.Sequential(conv_relu(nn, cin, 2, 1), conv_relu(nn, 2, 2, 5, padding=2)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv_relu(nn, cin, 4, 1)),
        )  # fmt: skip

    class GoogLeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(conv_relu(nn, 3, 8, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, ceil_mode=True))
            self.inception1, self.inception2 = inception(8), inception(16)
            self.auxiliary = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 5))
            self.head = nn.Linear(16, 5)

        def forward(self, x):
            x = self.inception1(self.stem(x))
            return self.head(self.inception2(x).mean((2, 3))), self.auxiliary(x)

    return GoogLeNet()


@architecture(*IMAGES)
def inception_v3(torch):
    """Szegedy et al. 2015, arXiv:1512.00567: factorized and strided blocks."""
    nn = torch.nn

    def unit(*args, **kwargs):
        return nn.Sequential(nn.Conv2d(*args, bias=False, **kwargs), nn.BatchNorm2d(args[1], eps=0.001), nn.ReLU())

    block_c = concatenation(
        torch, unit(8, 4, 1),
        nn.Sequential(unit(8, 4, 1), unit(4, 4, (1, 7), padding=(0, 3)), unit(4, 4, (7, 1), padding=(3, 0))),
        nn.Sequential(nn.AvgPool2d(3, 1, 1), unit(8, 4, 1)),
    )  # fmt: skip
    block_b = concatenation(torch, unit(12, 4, 3, stride=2), nn.MaxPool2d(3, 2))
    return nn.Sequential(
        unit(3, 8, 3, stride=2, padding=1), block_c, block_b, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)
    )


@architecture(*IMAGES)
def network_in_network(torch):
    """Lin et al. 2013, arXiv:1312.4400."""
    nn = torch.nn

    def block(cin, cout, size):
        return nn.Sequential(
            conv_relu(nn, cin, cout, size, padding=size // 2), conv_relu(nn, cout, cout, 1),
            conv_relu(nn, cout, cout, 1),
        )  # fmt: skip

    return nn.Sequential(
        block(3, 8, 5), nn.MaxPool2d(3, 2, 1), nn.Dropout2d(0.0), block(8, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@architecture(*IMAGES)
def xception(torch):
    """Chollet 2016, arXiv:1610.02357: separable convolutions."""
    nn = torch.nn

    def separable(cin, cout):
        return [
            nn.ReLU(), nn.Conv2d(cin, cin, 3, padding=1, groups=cin, bias=False), nn.Conv2d(cin, cout, 1, bias=False),
            nn.BatchNorm2d(cout),
        ]  # fmt: skip

    class Block(nn.Module):
        def __init__(self, cin, cout, stride):
            super().__init__()
            self.layers = nn.Sequential(*separable(cin, cout), *separable(cout, cout), nn.MaxPool2d(3, stride, 1))
            self.skip = nn.Sequential(*conv(nn, cin, cout, 1, stride))

        def forward(self, x):
            return self.layers(x) + self.skip(x)

    return nn.Sequential(
        *conv(nn, 3, 8, 3, 2), Block(8, 12, 1), Block(12, 16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, 5),
    )  # fmt: skip


@architecture(images(2, 1, 6, 12, 12), integers(5, 2))
def cnn_3d(torch):
    """Tran et al. 2014, arXiv:1412.0767: C3D, with strided, dilated and grouped convolutions of volumes."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool3d((1, 2, 2)),
        nn.Conv3d(8, 8, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), groups=4), nn.ReLU(),
        nn.Conv3d(8, 8, (3, 1, 1), padding=(2, 0, 0), dilation=(2, 1, 1)), nn.ReLU(), nn.AvgPool3d((2, 1, 1)),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


@architecture(images(2, 3, 8, 8), integers(5, 2))
def capsule_network(torch):
    """Sabour et al. 2017, arXiv:1710.09829: dynamic routing between capsules; the logits are lengths."""
    nn = torch.nn
    F = nn.functional

    def squash(x):
        squared = (x**2).sum(-1, keepdim=True)
        return x * squared / ((1 + squared) * torch.sqrt(squared + 1e-8))

    class CapsuleNetwork(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)
            self.primary = nn.Conv2d(8, 8, 3, stride=2)
            self.weight = nn.Parameter(torch.zeros(5, 8, 4, 6))

        def forward(self, x):
            x = self.primary(F.relu(self.conv(x)))  # (N, 8, 2, 2)
            u = squash(x.reshape(x.size(0), 8, 4))
            votes = torch.einsum("nid,kidf->nkif", u, self.weight)  # (N, 5, 8, 6)
            routing = torch.zeros_like(votes[..., 0])
            for _ in range(3):
                coupling = F.softmax(routing, dim=1)
                v = squash((coupling.unsqueeze(-1) * votes).sum(2))
                routing = routing + (votes * v.unsqueeze(2)).sum(-1)
            return 5 * v.norm(dim=-1)

    return CapsuleNetwork()


@architecture(images(2, 1, 6, 12, 12), integers(5, 2))
def resnet_3d(torch):
    """Tran et al. 2017, arXiv:1711.11248: R(2+1)D, convolutions of space and of time in turn."""
    nn = torch.nn

    def unit(cin, cout, stride=1):
        space = nn.Conv3d(cin, cout, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
        time = nn.Conv3d(cout, cout, (3, 1, 1), padding=(1, 0, 0), bias=False)
        return [space, nn.BatchNorm3d(cout), nn.ReLU(), time, nn.BatchNorm3d(cout)]

    class Block(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.layers = nn.Sequential(*unit(dim, dim), nn.ReLU(), *unit(dim, dim))

        def forward(self, x):
            return nn.functional.relu(x + self.layers(x))

    return nn.Sequential(
        *unit(1, 6, 2), nn.ReLU(), Block(6), nn.AdaptiveAvgPool3d((1, 1, 1)), nn.Flatten(), nn.Linear(6, 5)
    )


@architecture(images(2, 1, 16, 16), integers(5, 2))
def spatial_transformer(torch):
    """Jaderberg et al. 2015, arXiv:1506.02025, as in PyTorch's tutorial: a learned affine map resamples the image."""
    nn = torch.nn
    F = nn.functional

    class SpatialTransformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.localization = nn.Sequential(nn.Conv2d(1, 4, 5), nn.MaxPool2d(2, stride=2), nn.ReLU(True))
            self.theta = nn.Sequential(nn.Linear(144, 8), nn.Tanh(), nn.Linear(8, 6))
            self.register_buffer("identity", torch.tensor([1.0, 0, 0, 0, 1, 0]))
            self.conv, self.fc = nn.Conv2d(1, 6, 3, stride=2), nn.Linear(54, 5)

        def forward(self, x):
            theta = (0.2 * self.theta(self.localization(x).flatten(1)) + self.identity).view(-1, 2, 3)
            grid = F.affine_grid(theta, x.size(), align_corners=False)
            x = F.grid_sample(x, grid, align_corners=False)
            return self.fc(F.relu(F.max_pool2d(self.conv(x), 2)).flatten(1))

    return SpatialTransformer()


@architecture(*IMAGES)
def deformable_network(torch):
    """Dai et al. 2017, arXiv:1703.06211, simplified: learned offsets of the samples, bilinear and with borders."""
    nn = torch.nn
    F = nn.functional

    class Deformable(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.offset = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 2, 3, padding=1)
            self.norm, self.fc = nn.InstanceNorm2d(6, affine=True), nn.Linear(6, 5)

        def forward(self, x):
            x = self.norm(self.conv(x))
            base = F.affine_grid(torch.eye(2, 3).expand(x.size(0), 2, 3), list(x.shape), align_corners=True)
            grid = base + 0.1 * torch.tanh(self.offset(x)).permute(0, 2, 3, 1)
            x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)
            return self.fc(F.softplus(x).mean((2, 3)))

    return Deformable()
