"""Networks that predict something for each pixel."""

from tests.architectures.architecture import architecture, images, integers, segmentation
from tests.architectures.residual import conv

PIXELS = images(2, 3, 16, 16), integers(3, 2, 16, 16)


def double_conv(nn, cin, cout):
    return nn.Sequential(*conv(nn, cin, cout), nn.ReLU(inplace=True), *conv(nn, cout, cout), nn.ReLU(inplace=True))


def unet(torch, up1, up2):
    nn = torch.nn

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.down1, self.down2, self.middle = double_conv(nn, 3, 4), double_conv(nn, 4, 8), double_conv(nn, 8, 16)
            self.up1, self.up2 = up1, up2
            self.decode1, self.decode2 = double_conv(nn, 16, 8), double_conv(nn, 8, 4)
            self.head = nn.Conv2d(4, 3, 1)

        def forward(self, x):
            a = self.down1(x)
            b = self.down2(nn.functional.max_pool2d(a, 2))
            c = self.middle(nn.functional.max_pool2d(b, 2))
            b = self.decode1(torch.cat([b, self.up1(c)], dim=1))
            return self.head(self.decode2(torch.cat([a, self.up2(b)], dim=1)))

    return UNet()


@architecture(*PIXELS, loss=segmentation)
def unet_transposed(torch):
    """Ronneberger et al. 2015, arXiv:1505.04597, with transposed convolutions."""
    nn = torch.nn
    return unet(torch, nn.ConvTranspose2d(16, 8, 2, 2), nn.ConvTranspose2d(8, 4, 3, 2, padding=1, output_padding=1))


@architecture(*PIXELS, loss=segmentation)
def unet_bilinear(torch):
    """Ronneberger et al. 2015, arXiv:1505.04597, with bilinear upsampling."""
    nn = torch.nn

    def up(cin, cout, align):
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=align), nn.Conv2d(cin, cout, 1))

    return unet(torch, up(16, 8, True), up(8, 4, False))


@architecture(*PIXELS, loss=segmentation)
def fpn(torch):
    """Lin et al. 2016, arXiv:1612.03144, with the heads of a panoptic FPN."""
    nn = torch.nn
    F = nn.functional

    class FPN(nn.Module):
        def __init__(self):
            super().__init__()
            widths = (4, 8, 12)
            self.bottom_up = nn.ModuleList(
                [nn.Sequential(*conv(nn, i, o, 3, 2 if i > 3 else 1), nn.ReLU()) for i, o in ((3, 4), (4, 8), (8, 12))]
            )
            self.lateral = nn.ModuleList([nn.Conv2d(width, 6, 1) for width in widths])
            self.smooth = nn.ModuleList([nn.Conv2d(6, 6, 3, padding=1) for _ in widths])
            self.head = nn.Conv2d(6, 3, 1)

        def forward(self, x):
            levels = []
            for layer in self.bottom_up:
                x = layer(x)
                levels.append(x)
            tops = [self.lateral[-1](levels[-1])]
            for at in (1, 0):
                above = F.interpolate(tops[0], size=levels[at].shape[-2:], mode="nearest")
                tops.insert(0, self.lateral[at](levels[at]) + above)
            tops = [smooth(top) for smooth, top in zip(self.smooth, tops, strict=True)]
            size = tops[0].shape[2:]
            return self.head(sum(F.interpolate(top, size, mode="bilinear") for top in tops))

    return FPN()


@architecture(*PIXELS, loss=segmentation)
def deeplab_v3(torch):
    """Chen et al. 2017, arXiv:1706.05587: dilated convolutions at several rates, and pooling of the image."""
    nn = torch.nn
    F = nn.functional

    class Pooling(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(2), *conv(nn, 8, 6, 1), nn.ReLU())

        def forward(self, x):
            return F.interpolate(self.layers(x), size=x.shape[-2:], mode="bilinear", align_corners=False)

    class DeepLab(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = nn.Sequential(*conv(nn, 3, 8, 3, 2), nn.ReLU())
            dilated = [
                nn.Sequential(nn.Conv2d(8, 6, 3, padding=rate, dilation=rate, bias=False), nn.BatchNorm2d(6), nn.ReLU())
                for rate in (1, 2, 3)
            ]
            self.aspp = nn.ModuleList([*dilated, Pooling()])
            self.project = nn.Sequential(*conv(nn, 24, 8, 1), nn.ReLU(), nn.Dropout(0.0), nn.Conv2d(8, 3, 1))

        def forward(self, x):
            features = self.backbone(x)
            out = self.project(torch.cat([branch(features) for branch in self.aspp], dim=1))
            return F.interpolate(out, size=x.shape[-2:], mode="bicubic", align_corners=False)

    return DeepLab()


def dice_and_bce(torch, model, x, target):
    F = torch.nn.functional
    logits = model(x)
    target = (target > 0).to(logits.dtype).unsqueeze(1)
    p = torch.sigmoid(logits)
    dice = 1 - (2 * (p * target).sum((1, 2, 3)) + 1) / (p.sum((1, 2, 3)) + target.sum((1, 2, 3)) + 1)
    return logits, dice.mean() + F.binary_cross_entropy_with_logits(logits, target)


@architecture(*PIXELS, loss=dice_and_bce)
def attention_unet(torch):
    """Oktay et al. 2018, arXiv:1804.03999: gates on the shortcut, trained with the Dice loss."""
    nn = torch.nn

    class AttentionUNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.middle = double_conv(nn, 3, 6), double_conv(nn, 6, 8)
            self.gate, self.skip, self.psi = nn.Conv2d(8, 4, 1), nn.Conv2d(6, 4, 1), nn.Conv2d(4, 1, 1)
            self.up, self.head = nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.Conv2d(12, 1, 3, padding=1)

        def forward(self, x):
            a = self.down(x)
            b = self.middle(nn.functional.avg_pool2d(a, 2))
            gate = nn.functional.interpolate(self.gate(b), scale_factor=2.0)
            a = a * torch.sigmoid(self.psi(nn.functional.leaky_relu(self.skip(a) + gate, 0.1)))
            return self.head(torch.cat([a, self.up(b)], 1))

    return AttentionUNet()


@architecture(*PIXELS, loss=segmentation)
def segnet(torch):
    """Badrinarayanan et al. 2015, arXiv:1511.00561: unpooling where the maxima were."""
    nn = torch.nn

    class SegNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode1, self.encode2 = double_conv(nn, 3, 6), double_conv(nn, 6, 8)
            self.decode2, self.decode1 = double_conv(nn, 8, 6), nn.Conv2d(6, 3, 3, padding=1)
            self.pool, self.unpool = nn.MaxPool2d(2, stride=2, return_indices=True), nn.MaxUnpool2d(2, stride=2)

        def forward(self, x):
            x, first = self.pool(self.encode1(x))
            x, second = self.pool(self.encode2(x))
            return self.decode1(self.unpool(self.decode2(self.unpool(x, second)), first))

    return SegNet()


def reconstruction(torch, model, x):
    output = model(x)
    target = torch.nn.functional.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)
    return output, torch.nn.functional.l1_loss(output, target)


@architecture(images(2, 3, 8, 8), loss=reconstruction)
def super_resolution(torch):
    """Lim et al. 2017, arXiv:1707.02921: residual blocks without norms, sub-pixel convolution, reflected borders."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(True), nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3)
            )

        def forward(self, x):
            return x + 0.1 * self.layers(x)

    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), Block(8), Block(8), nn.Conv2d(8, 32, 3, padding=1), nn.PixelShuffle(2),
        nn.Conv2d(8, 3, 3, padding=1),
    )  # fmt: skip
