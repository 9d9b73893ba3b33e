"""Networks of residual and of densely connected blocks."""

from typing import Any

from tests.architectures.architecture import architecture, images, integers

CLASSES = 5
IMAGES = images(2, 3, 16, 16), integers(CLASSES, 2)


def residual(nn: Any, cin: int, cout: int, stride: int, *layers: Any) -> Any:
    """``relu(layers(x) + shortcut(x))`` with a projection where the shape changes."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(*layers)
            self.shortcut = nn.Identity()
            if stride != 1 or cin != cout:
                self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

        def forward(self, x):
            return nn.functional.relu(self.layers(x) + self.shortcut(x))

    return Residual()


def conv(nn: Any, cin: int, cout: int, size: int = 3, stride: int = 1, groups: int = 1) -> list[Any]:
    return [nn.Conv2d(cin, cout, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(cout)]


def basic(nn: Any, cin: int, cout: int, stride: int) -> Any:
    return residual(nn, cin, cout, stride, *conv(nn, cin, cout, 3, stride), nn.ReLU(), *conv(nn, cout, cout))


def bottleneck(nn: Any, cin: int, cout: int, stride: int, width: int, groups: int = 1, *extra: Any) -> Any:
    return residual(
        nn, cin, cout, stride, *conv(nn, cin, width, 1), nn.ReLU(), *conv(nn, width, width, 3, stride, groups),
        nn.ReLU(), *extra, *conv(nn, width, cout, 1),
    )  # fmt: skip


def classifier(nn: Any, stem: list[Any], blocks: list[Any], channels: int) -> Any:
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


@architecture(*IMAGES)
def resnet_basic(torch):
    """He et al. 2015, arXiv:1512.03385, with the blocks of ResNet-18."""
    nn = torch.nn
    stem = [*conv(nn, 3, 8, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return classifier(nn, stem, [basic(nn, 8, 8, 1), basic(nn, 8, 12, 2), basic(nn, 12, 12, 1)], 12)


@architecture(*IMAGES)
def resnet_bottleneck(torch):
    """He et al. 2015, arXiv:1512.03385, with the blocks of ResNet-50."""
    nn = torch.nn
    blocks = [bottleneck(nn, 8, 16, 1, 4), bottleneck(nn, 16, 16, 1, 4), bottleneck(nn, 16, 24, 2, 8)]
    return classifier(nn, [*conv(nn, 3, 8, 3, 2), nn.ReLU()], blocks, 24)


@architecture(*IMAGES)
def resnext(torch):
    """Xie et al. 2016, arXiv:1611.05431."""
    nn = torch.nn
    blocks = [bottleneck(nn, 8, 16, 1, 8, 4), bottleneck(nn, 16, 24, 2, 8, 4)]
    return classifier(nn, [*conv(nn, 3, 8, 3, 2), nn.ReLU()], blocks, 24)


@architecture(*IMAGES)
def wide_resnet(torch):
    """Zagoruyko and Komodakis 2016, arXiv:1605.07146: normalization first, wide blocks with dropout between."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, cin, cout, stride):
            super().__init__()
            self.bn1, self.bn2 = nn.BatchNorm2d(cin), nn.BatchNorm2d(cout)
            self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
            self.dropout = nn.Dropout(0.0)
            self.shortcut = nn.Conv2d(cin, cout, 1, stride, bias=False)

        def forward(self, x):
            x = self.bn1(x).relu()
            return self.conv2(self.dropout(self.bn2(self.conv1(x)).relu())) + self.shortcut(x)

    blocks = [Block(4, 16, 1), Block(16, 32, 2), nn.BatchNorm2d(32), nn.ReLU(inplace=True)]
    return classifier(nn, [nn.Conv2d(3, 4, 3, 2, 1, bias=False)], blocks, 32)


@architecture(*IMAGES)
def preactivation_resnet(torch):
    """He et al. 2016, arXiv:1603.05027."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.layers = nn.Sequential(
                nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding="same", bias=False),
            )  # fmt: skip

        def forward(self, x):
            return x + self.layers(x)

    return classifier(nn, [nn.Conv2d(3, 8, 3, 2, 1)], [Block(8), nn.AvgPool2d(2), Block(8)], 8)


def squeeze_excitation(nn: Any, channels: int, reduced: int, gate: Any) -> Any:
    """Hu et al. 2017, arXiv:1709.01507."""

    class SqueezeExcitation(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Conv2d(channels, reduced, 1), nn.Conv2d(reduced, channels, 1)

        def forward(self, x):
            scale = nn.functional.adaptive_avg_pool2d(x, 1)
            return x * gate(self.fc2(nn.functional.relu(self.fc1(scale))))

    return SqueezeExcitation()


@architecture(*IMAGES)
def se_resnet(torch):
    """Hu et al. 2017, arXiv:1709.01507."""
    nn = torch.nn
    se = [squeeze_excitation(nn, 8, 2, torch.sigmoid) for _ in range(2)]
    blocks = [bottleneck(nn, 8, 16, 1, 8, 1, se[0]), bottleneck(nn, 16, 24, 2, 8, 1, se[1])]
    return classifier(nn, [*conv(nn, 3, 8, 3, 2), nn.ReLU()], blocks, 24)


@architecture(*IMAGES)
def regnet(torch):
    """Radosavovic et al. 2020, arXiv:2003.13678: RegNetY, groups of fixed width with squeeze and excitation."""
    nn = torch.nn
    blocks = [
        bottleneck(nn, cin, width, stride, width, width // 4, squeeze_excitation(nn, width, 2, nn.Sigmoid()))
        for cin, width, stride in ((8, 8, 2), (8, 16, 2), (16, 16, 1))
    ]
    return classifier(nn, [*conv(nn, 3, 8, 3), nn.ReLU()], blocks, 16)


@architecture(*IMAGES)
def densenet(torch):
    """Huang et al. 2016, arXiv:1608.06993: DenseNet-BC."""
    nn = torch.nn
    growth = 4

    class Layer(nn.Module):
        def __init__(self, cin):
            super().__init__()
            self.norm1, self.norm2 = nn.BatchNorm2d(cin), nn.BatchNorm2d(2 * growth)
            self.conv1 = nn.Conv2d(cin, 2 * growth, 1, bias=False)
            self.conv2 = nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

        def forward(self, features):
            x = self.conv1(self.norm1(torch.cat(features, 1)).relu())
            return self.conv2(self.norm2(x).relu())

    class Block(nn.ModuleDict):
        def __init__(self, cin, layers):
            super().__init__()
            for at in range(layers):
                self[f"denselayer{at + 1}"] = Layer(cin + at * growth)

        def forward(self, x):
            features = [x]
            for layer in self.values():
                features.append(layer(features))
            return torch.cat(features, 1)

    transition = [nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 10, 1, bias=False), nn.AvgPool2d(2)]
    blocks = [Block(8, 3), *transition, Block(10, 2), nn.BatchNorm2d(18), nn.ReLU()]
    return classifier(nn, [nn.Conv2d(3, 8, 3, 2, 1, bias=False)], blocks, 18)


@architecture(*IMAGES)
def dual_path_network(torch):
    """Chen et al. 2017, arXiv:1707.01629: dual path networks, a residual and a dense path side by side."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, cin, residual, dense):
            super().__init__()
            self.residual = residual
            self.layers = nn.Sequential(*conv(nn, cin, 8, 3, 1, 2), nn.ReLU(), *conv(nn, 8, residual + dense, 1))

        def forward(self, x):
            out = self.layers(x)
            r = self.residual
            return torch.cat([x[:, :r] + out[:, :r], x[:, r:], out[:, r:]], 1).relu()

    return classifier(nn, [*conv(nn, 3, 8, 3, 2), nn.ReLU()], [Block(8, 6, 2), Block(10, 6, 2)], 12)
