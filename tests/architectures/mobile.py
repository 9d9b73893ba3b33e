"""Convolutional networks made for small computers: depthwise convolutions, gates, shuffles."""

from tests.architectures.architecture import architecture
from tests.architectures.residual import IMAGES, conv, squeeze_excitation


def inverted_residual(nn, cin, cout, expansion, size, stride, act, gate=None):
    """Expand, convolve each channel, gate, project; with a shortcut where the shape is the same."""
    width = cin * expansion

    class InvertedResidual(nn.Module):
        def __init__(self):
            super().__init__()
            expand = [*conv(nn, cin, width, 1), act()] if expansion > 1 else []
            self.layers = nn.Sequential(
                *expand, *conv(nn, width, width, size, stride, width), act(),
                *([squeeze_excitation(nn, width, 2, gate)] if gate else []), *conv(nn, width, cout, 1),
            )  # fmt: skip

        def forward(self, x):
            return x + self.layers(x) if stride == 1 and cin == cout else self.layers(x)

    return InvertedResidual()


def network(nn, act, blocks, channels, width):
    return nn.Sequential(
        *conv(nn, 3, 8, 3, 2), act(), *blocks, *conv(nn, channels, width, 1), act(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Dropout(0.0), nn.Linear(width, 5),
    )  # fmt: skip


@architecture(*IMAGES)
def mobilenet_v2(torch):
    """Sandler et al. 2018, arXiv:1801.04381."""
    nn = torch.nn
    blocks = [
        inverted_residual(nn, 8, 4, 1, 3, 1, nn.ReLU6), inverted_residual(nn, 4, 8, 3, 3, 2, nn.ReLU6),
        inverted_residual(nn, 8, 8, 3, 3, 1, nn.ReLU6),
    ]  # fmt: skip
    return network(nn, nn.ReLU6, blocks, 8, 16)


@architecture(*IMAGES)
def mobilenet_v3(torch):
    """Howard et al. 2019, arXiv:1905.02244."""
    nn = torch.nn
    blocks = [
        inverted_residual(nn, 8, 8, 1, 3, 1, nn.ReLU, nn.functional.hardsigmoid),
        inverted_residual(nn, 8, 12, 2, 5, 2, nn.Hardswish, nn.Hardsigmoid()),
        inverted_residual(nn, 12, 12, 2, 5, 1, nn.Hardswish, nn.Hardsigmoid()),
    ]
    return network(nn, nn.Hardswish, blocks, 12, 16)


@architecture(*IMAGES)
def efficientnet(torch):
    """Tan and Le 2019, arXiv:1905.11946."""
    nn = torch.nn
    blocks = [
        inverted_residual(nn, 8, 6, 1, 3, 1, nn.SiLU, torch.sigmoid),
        inverted_residual(nn, 6, 8, 3, 5, 2, nn.SiLU, torch.sigmoid),
        inverted_residual(nn, 8, 8, 3, 5, 1, nn.SiLU, torch.sigmoid),
    ]
    return network(nn, nn.SiLU, blocks, 8, 16)


@architecture(*IMAGES)
def efficientnet_v2(torch):
    """Tan and Le 2021, arXiv:2104.00298: fused blocks first."""
    nn = torch.nn

    class Fused(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.layers = nn.Sequential(*conv(nn, channels, 16, 3), nn.SiLU(), *conv(nn, 16, channels, 1))

        def forward(self, x):
            return x + self.layers(x)

    blocks = [Fused(8), inverted_residual(nn, 8, 12, 2, 3, 2, nn.SiLU, nn.Sigmoid())]
    return network(nn, nn.SiLU, blocks, 12, 16)


@architecture(*IMAGES)
def shufflenet_v2(torch):
    """Ma et al. 2018, arXiv:1807.11164."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, cin, cout, stride):
            super().__init__()
            self.stride, width = stride, cout // 2
            cin = cin if stride > 1 else cin // 2
            self.branch1 = nn.Sequential()
            if stride > 1:
                layers = conv(nn, cin, cin, 3, stride, cin)
                self.branch1 = nn.Sequential(*layers, *conv(nn, cin, width, 1), nn.ReLU(inplace=True))
            self.branch2 = nn.Sequential(
                *conv(nn, cin, width, 1), nn.ReLU(inplace=True), *conv(nn, width, width, 3, stride, width),
                *conv(nn, width, width, 1), nn.ReLU(inplace=True),
            )  # fmt: skip

        def forward(self, x):
            x1, x2 = x.chunk(2, dim=1) if self.stride == 1 else (x, x)
            out = torch.cat((self.branch1(x1), self.branch2(x2)), dim=1)
            n, c, h, w = out.size()
            return out.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)

    return network(nn, nn.ReLU, [Block(8, 12, 2), Block(12, 12, 1), Block(12, 12, 1)], 12, 16)


@architecture(*IMAGES)
def ghostnet(torch):
    """Han et al. 2019, arXiv:1911.11907: half of the channels come from a depthwise convolution of the others."""
    nn = torch.nn

    class Ghost(nn.Module):
        def __init__(self, cin, cout):
            super().__init__()
            self.primary = nn.Sequential(*conv(nn, cin, cout // 2, 1), nn.ReLU())
            self.cheap = nn.Sequential(*conv(nn, cout // 2, cout // 2, 3, 1, cout // 2), nn.ReLU())

        def forward(self, x):
            x = self.primary(x)
            return torch.cat([x, self.cheap(x)], dim=1)

    return network(nn, nn.ReLU, [Ghost(8, 12), nn.MaxPool2d(2), Ghost(12, 12)], 12, 16)
