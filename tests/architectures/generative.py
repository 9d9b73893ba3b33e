"""Networks that generate: autoencoders, adversarial networks, diffusion, autoregression, flows."""

import math

from tests.architectures.architecture import architecture, images, integers, regression


def variational(torch, model, x, noise):
    F = torch.nn.functional
    x = x.sigmoid()
    reconstruction, mu, logvar = model(x, noise)
    bce = F.binary_cross_entropy(reconstruction, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (reconstruction, mu, logvar), (bce + kld) / 100


@architecture(images(4, 36), images(4, 4), loss=variational)
def vae(torch):
    """Kingma and Welling 2013, arXiv:1312.6114, as in PyTorch's example; the noise is an input."""
    nn = torch.nn

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc21, self.fc22 = nn.Linear(36, 16), nn.Linear(16, 4), nn.Linear(16, 4)
            self.fc3, self.fc4 = nn.Linear(4, 16), nn.Linear(16, 36)

        def forward(self, x, noise):
            h = nn.functional.relu(self.fc1(x))
            mu, logvar = self.fc21(h), self.fc22(h)
            z = mu + noise * torch.exp(0.5 * logvar)
            return torch.sigmoid(self.fc4(nn.functional.relu(self.fc3(z)))), mu, logvar

    return VAE()


def discriminate(torch, model, x, noise):
    bce = torch.nn.functional.binary_cross_entropy
    real = model.discriminator(torch.tanh(x)).view(-1)
    fake = model.discriminator(model.generator(noise).detach()).view(-1)
    return (real, fake), bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))


def generate(torch, model, x, noise):
    image = model.generator(noise)
    fake = model.discriminator(image).view(-1)
    return image, torch.nn.functional.binary_cross_entropy(fake, torch.ones_like(fake))


@architecture(images(4, 3, 16, 16), images(4, 8, 1, 1), losses={"discriminator": discriminate, "generator": generate})
def dcgan(torch):
    """Radford et al. 2015, arXiv:1511.06434, as in PyTorch's example: two networks, two optimizers."""
    nn = torch.nn
    up, down = nn.ConvTranspose2d, nn.Conv2d

    class GAN(nn.Module):
        def __init__(self):
            super().__init__()
            self.generator = nn.Sequential(
                up(8, 12, 4, 1, 0, bias=False), nn.BatchNorm2d(12), nn.ReLU(True),
                up(12, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(True), up(8, 3, 4, 2, 1, bias=False),
                nn.Tanh(),
            )  # fmt: skip
            self.discriminator = nn.Sequential(
                down(3, 8, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
                down(8, 12, 4, 2, 1, bias=False), nn.BatchNorm2d(12), nn.LeakyReLU(0.2, inplace=True),
                down(12, 1, 4, 1, 0, bias=False), nn.Sigmoid(),
            )  # fmt: skip

    return GAN()


@architecture(images(2, 3, 8, 8), integers(100, 2), images(2, 3, 8, 8), loss=regression)
def diffusion_unet(torch):
    """Ho et al. 2020, arXiv:2006.11239: time embedding, GroupNorm, attention; predicts the noise."""
    nn = torch.nn
    F = nn.functional

    def time_embedding(t, dim):
        frequencies = torch.exp(-math.log(10000) * torch.arange(0.0, dim // 2) / (dim // 2))
        angles = t[:, None].to(frequencies.dtype) * frequencies[None]
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    class ResBlock(nn.Module):
        def __init__(self, cin, cout):
            super().__init__()
            self.norm1, self.norm2 = nn.GroupNorm(4, cin), nn.GroupNorm(4, cout, eps=1e-6)
            self.conv1, self.conv2 = nn.Conv2d(cin, cout, 3, padding=1), nn.Conv2d(cout, cout, 3, padding=1)
            self.time = nn.Linear(16, 2 * cout)
            self.skip = nn.Conv2d(cin, cout, 1) if cin != cout else nn.Identity()

        def forward(self, x, t):
            h = self.conv1(F.silu(self.norm1(x)))
            scale, shift = self.time(F.silu(t))[:, :, None, None].chunk(2, dim=1)
            h = self.norm2(h) * (1 + scale) + shift
            return self.conv2(F.silu(h)) + self.skip(x)

    class Attention(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.norm, self.qkv, self.out = nn.GroupNorm(4, dim), nn.Conv1d(dim, 3 * dim, 1), nn.Conv1d(dim, dim, 1)

        def forward(self, x):
            n, c, h, w = x.shape
            q, k, v = self.qkv(self.norm(x).view(n, c, h * w)).chunk(3, dim=1)
            weight = torch.einsum("bct,bcs->bts", q, k).mul(c**-0.5).softmax(dim=-1)
            return x + self.out(torch.einsum("bts,bcs->bct", weight, v)).view(n, c, h, w)

    class DiffusionUNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.time = nn.Sequential(nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 16))
            self.stem, self.down = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, stride=2, padding=1)
            self.block1, self.block2, self.block3 = ResBlock(8, 8), ResBlock(8, 12), ResBlock(20, 8)
            self.attention, self.up = Attention(12), nn.Conv2d(12, 12, 3, padding=1)
            self.out = nn.Sequential(nn.GroupNorm(4, 8), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1))

        def forward(self, x, t):
            t = self.time(time_embedding(t, 8))
            a = self.block1(self.stem(x), t)
            b = self.attention(self.block2(self.down(a), t))
            b = self.up(F.interpolate(b, scale_factor=2, mode="nearest"))
            return self.out(self.block3(torch.cat([a, b], dim=1), t))

    return DiffusionUNet()


def levels_loss(torch, model, x):
    """Cross-entropy of the next pixel, in four levels."""
    levels = (x > -1).long() + (x > 0).long() + (x > 1).long()
    logits = model(x)
    return logits, torch.nn.functional.cross_entropy(logits, levels.squeeze(1))


@architecture(images(2, 1, 8, 8), loss=levels_loss)
def pixel_cnn(torch):
    """van den Oord et al. 2016, arXiv:1601.06759: masked convolutions."""
    nn = torch.nn

    class MaskedConv2d(nn.Conv2d):
        def __init__(self, kind, *args, **kwargs):
            super().__init__(*args, **kwargs)
            mask = torch.ones_like(self.weight)
            size = self.weight.size(2)
            mask[:, :, size // 2, size // 2 + (kind == "B") :] = 0
            mask[:, :, size // 2 + 1 :] = 0
            self.register_buffer("mask", mask.detach())

        def forward(self, x):
            return nn.functional.conv2d(x, self.weight * self.mask, self.bias, self.stride, self.padding)

    return nn.Sequential(
        MaskedConv2d("A", 1, 8, 7, padding=3), nn.ReLU(), MaskedConv2d("B", 8, 8, 3, padding=1), nn.BatchNorm2d(8),
        nn.ReLU(), nn.Conv2d(8, 4, 1),
    )  # fmt: skip


def next_sample(torch, model, x, speaker, target):
    logits = model(x, speaker)
    return logits, torch.nn.functional.cross_entropy(logits, target)


@architecture(images(2, 1, 24), images(2, 3), integers(5, 2, 24), loss=next_sample)
def wavenet(torch):
    """van den Oord et al. 2016, arXiv:1609.03499: dilated causal convolutions with gates and skip connections."""
    nn = torch.nn

    class Layer(nn.Module):
        def __init__(self, dim, dilation):
            super().__init__()
            self.conv = nn.Conv1d(dim, 2 * dim, 2, dilation=dilation, padding=dilation)
            self.condition, self.out = nn.Linear(3, 2 * dim, bias=False), nn.Conv1d(dim, 2 * dim, 1)

        def forward(self, x, speaker):
            h = self.conv(x)[..., : x.size(-1)] + self.condition(speaker).unsqueeze(-1)
            filtered, gate = h.chunk(2, 1)
            residual, skip = self.out(torch.tanh(filtered) * torch.sigmoid(gate)).chunk(2, 1)
            return x + residual, skip

    class WaveNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv1d(1, 6, 1)
            self.layers = nn.ModuleList([Layer(6, 2**at) for at in range(3)])
            self.head = nn.Sequential(nn.ReLU(), nn.Conv1d(6, 6, 1), nn.ReLU(), nn.Conv1d(6, 5, 1))

        def forward(self, x, speaker):
            x, total = self.stem(x), 0
            for layer in self.layers:
                x, skip = layer(x, speaker)
                total = total + skip
            return self.head(total)

    return WaveNet()


def likelihood(torch, model, x):
    z, log_determinant = model(x)
    prior = -0.5 * (z**2 + math.log(2 * math.pi)).sum(1)
    return (z, log_determinant), -(prior + log_determinant).mean()


@architecture(images(6, 6), loss=likelihood)
def real_nvp(torch):
    """Dinh et al. 2016, arXiv:1605.08803: affine coupling layers, trained by the exact likelihood."""
    nn = torch.nn

    class Coupling(nn.Module):
        def __init__(self, dim, flip):
            super().__init__()
            self.flip = flip
            self.net = nn.Sequential(nn.Linear(dim // 2, 12), nn.Tanh(), nn.Linear(12, dim))

        def forward(self, x):
            a, b = x.chunk(2, dim=1)
            if self.flip:
                a, b = b, a
            scale, shift = self.net(a).chunk(2, dim=1)
            scale = torch.tanh(scale)
            b = b * torch.exp(scale) + shift
            return torch.cat([b, a] if self.flip else [a, b], dim=1), scale.sum(dim=1)

    class RealNVP(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([Coupling(6, flip) for flip in (False, True, False)])

        def forward(self, x):
            total = torch.zeros(x.size(0), dtype=x.dtype)
            for layer in self.layers:
                x, log_determinant = layer(x)
                total += log_determinant
            return x, total

    return RealNVP()


def quantization(torch, model, x):
    F = torch.nn.functional
    output, encoded, codes = model(x)
    commitment = F.mse_loss(codes.detach(), encoded)
    return output, F.mse_loss(output, x) + F.mse_loss(codes, encoded.detach()) + 0.25 * commitment


@architecture(images(3, 2, 8, 8), loss=quantization)
def vq_vae(torch):
    """van den Oord et al. 2017, arXiv:1711.00937: nearest codes, with gradients passed straight through."""
    nn = torch.nn

    class VQVAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Conv2d(2, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))
            self.codebook = nn.Embedding(7, 4)
            self.decoder = nn.Sequential(nn.ConvTranspose2d(4, 8, 4, 2, 1), nn.ELU(), nn.Conv2d(8, 2, 3, padding=1))

        def forward(self, x):
            encoded = self.encoder(x).permute(0, 2, 3, 1).contiguous()
            flat = encoded.view(-1, 4)
            codebook = self.codebook.weight
            distances = flat.pow(2).sum(1, keepdim=True) - 2 * flat @ codebook.t() + codebook.pow(2).sum(1)
            codes = self.codebook(distances.argmin(dim=1)).view_as(encoded)
            straight = encoded + (codes - encoded).detach()
            return self.decoder(straight.permute(0, 3, 1, 2)), encoded, codes

    return VQVAE()
