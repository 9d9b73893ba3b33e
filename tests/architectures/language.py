"""Transformers of tokens, with attention written in matrix products."""

import math

from tests.architectures.architecture import architecture, integers

VOCABULARY = 11
TOKENS = integers(VOCABULARY, 2, 6), integers(VOCABULARY, 2, 6)


@architecture(*TOKENS)
def gpt(torch):
    """Radford et al. 2019, as in nanoGPT: causal attention, the embedding shared with the output."""
    nn = torch.nn
    F = nn.functional

    class Attention(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.heads = heads
            self.c_attn, self.c_proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
            self.register_buffer("bias", torch.tril(torch.ones(8, 8)).view(1, 1, 8, 8))

        def forward(self, x):
            b, t, c = x.size()
            q, k, v = (
                one.view(b, t, self.heads, c // self.heads).transpose(1, 2) for one in self.c_attn(x).split(c, dim=2)
            )
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = F.softmax(att.masked_fill(self.bias[:, :, :t, :t] == 0, float("-inf")), dim=-1)
            return self.c_proj((att @ v).transpose(1, 2).contiguous().view(b, t, c))

    class Block(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.ln_1, self.ln_2, self.attn = nn.LayerNorm(dim), nn.LayerNorm(dim, bias=False), Attention(dim, 2)
            self.mlp = nn.ModuleDict({"c_fc": nn.Linear(dim, 4 * dim), "c_proj": nn.Linear(4 * dim, dim)})

        def forward(self, x):
            x = x + self.attn(self.ln_1(x))
            return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x))))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte, self.wpe = nn.Embedding(VOCABULARY, 12), nn.Embedding(8, 12)
            self.h, self.ln_f = nn.ModuleList([Block(12), Block(12)]), nn.LayerNorm(12)
            self.lm_head = nn.Linear(12, VOCABULARY, bias=False)
            self.wte.weight = self.lm_head.weight

        def forward(self, idx):
            x = self.wte(idx) + self.wpe(torch.arange(0, idx.size(1), dtype=torch.long, device=idx.device))
            for block in self.h:
                x = block(x)
            return self.lm_head(self.ln_f(x))

    return GPT()


@architecture(*TOKENS)
def llama(torch):
    """Touvron et al. 2023, arXiv:2302.13971: RMSNorm, rotary positions, SwiGLU, keys shared by query heads."""
    nn = torch.nn
    F = nn.functional

    def rotate(x):
        t, d = x.shape[-2:]
        angles = torch.arange(0.0, t)[:, None] / 100 ** (torch.arange(0.0, d, 2) / d)
        cos, sin = torch.cos(angles).repeat(1, 2), torch.sin(angles).repeat(1, 2)
        a, b = x.chunk(2, dim=-1)
        return x * cos + torch.cat((-b, a), dim=-1) * sin

    class Block(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.norm1, self.norm2 = nn.RMSNorm(dim, eps=1e-5), nn.RMSNorm(dim, eps=1e-5)
            self.q, self.k, self.v = (nn.Linear(dim, width, bias=False) for width in (dim, dim // 2, dim // 2))
            self.o, self.w1, self.w3 = (nn.Linear(dim, width, bias=False) for width in (dim, 16, 16))
            self.w2 = nn.Linear(16, dim, bias=False)

        def forward(self, x):
            n, t, c = x.shape
            y = self.norm1(x)
            q = rotate(self.q(y).view(n, t, 4, c // 4).transpose(1, 2))
            k = rotate(self.k(y).view(n, t, 2, c // 4).transpose(1, 2)).repeat_interleave(2, dim=1)
            v = self.v(y).view(n, t, 2, c // 4).transpose(1, 2).repeat_interleave(2, dim=1)
            mask = torch.triu(torch.full((t, t), float("-inf")), diagonal=1)
            weight = F.softmax(torch.matmul(q, k.transpose(2, 3)) / math.sqrt(c // 4) + mask, dim=-1)
            x = x + self.o(torch.matmul(weight, v).transpose(1, 2).reshape(n, t, c))
            y = self.norm2(x)
            return x + self.w2(F.silu(self.w1(y)) * self.w3(y))

    return nn.Sequential(
        nn.Embedding(VOCABULARY, 16), Block(16), Block(16), nn.RMSNorm(16), nn.Linear(16, VOCABULARY, bias=False)
    )


@architecture(integers(VOCABULARY, 2, 5), *TOKENS)
def t5(torch):
    """Raffel et al. 2019, arXiv:1910.10683: encoder and decoder, relative position buckets, gated GELU, no biases."""
    nn = torch.nn
    F = nn.functional
    dim, heads = 12, 2

    class Attention(nn.Module):
        def __init__(self, positions):
            super().__init__()
            self.q, self.k, self.v, self.o = (nn.Linear(dim, dim, bias=False) for _ in range(4))
            self.relative = nn.Embedding(8, heads) if positions else None

        def forward(self, x, source, causal):
            def split(y):
                return y.unflatten(-1, (heads, dim // heads)).transpose(1, 2)

            scores = torch.einsum("bhqd,bhkd->bhqk", split(self.q(x)), split(self.k(source)))
            if self.relative is not None:
                distance = torch.arange(source.size(1))[None, :] - torch.arange(x.size(1))[:, None]
                scores = scores + self.relative(distance.clamp(-4, 3) + 4).permute(2, 0, 1).unsqueeze(0)
                if causal:
                    scores = scores.masked_fill(distance > 0, -1e9)
            return self.o((F.softmax(scores, -1) @ split(self.v(source))).transpose(1, 2).flatten(2))

    class Layer(nn.Module):
        def __init__(self, decoder):
            super().__init__()
            self.norms = nn.ModuleList([nn.RMSNorm(dim, eps=1e-6) for _ in range(3)])
            self.attention, self.cross = Attention(True), Attention(False) if decoder else None
            self.wi_0, self.wi_1, self.wo = (nn.Linear(i, o, bias=False) for i, o in ((dim, 16), (dim, 16), (16, dim)))

        def forward(self, x, memory=None):
            y = self.norms[0](x)
            x = x + self.attention(y, y, causal=memory is not None)
            if self.cross is not None:
                x = x + self.cross(self.norms[1](x), memory, causal=False)
            y = self.norms[2](x)
            return x + self.wo(F.gelu(self.wi_0(y), approximate="tanh") * self.wi_1(y))

    class T5(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.encoder, self.decoder = nn.Embedding(VOCABULARY, dim), Layer(False), Layer(True)
            self.norm = nn.RMSNorm(dim)

        def forward(self, source, target):
            memory = self.encoder(self.shared(source))
            x = self.norm(self.decoder(self.shared(target), memory))
            return x @ self.shared.weight.t() * dim**-0.5

    return T5()


def masked_language_model(torch, model, tokens, labels):
    """Cross-entropy of the labels that are not -100."""
    logits = model(tokens)
    labels = labels.masked_fill(labels % 3 == 0, -100)
    return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)


@architecture(*TOKENS, loss=masked_language_model)
def bert(torch):
    """Devlin et al. 2018, arXiv:1810.04805: norms after, a padding mask, only masked tokens in the loss."""
    nn = torch.nn

    class Layer(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.query, self.key, self.value, self.dense = (nn.Linear(dim, dim) for _ in range(4))
            self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-12), nn.LayerNorm(dim, eps=1e-12)
            self.intermediate, self.output = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

        def forward(self, x, mask):
            q, k, v = self.query(x), self.key(x), self.value(x)
            weight = nn.functional.softmax(torch.baddbmm(mask, q, k.transpose(1, 2), alpha=x.size(-1) ** -0.5), dim=-1)
            x = self.norm1(self.dense(torch.bmm(weight, v)) + x)
            return self.norm2(self.output(nn.functional.gelu(self.intermediate(x))) + x)

    class Bert(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.positions = nn.Embedding(VOCABULARY, 12, padding_idx=0), nn.Embedding(6, 12)
            self.types, self.norm = nn.Embedding(2, 12), nn.LayerNorm(12)
            self.layers = nn.ModuleList([Layer(12), Layer(12)])
            self.head = nn.Sequential(nn.Linear(12, 12), nn.GELU(), nn.LayerNorm(12), nn.Linear(12, VOCABULARY))

        def forward(self, tokens):
            x = self.words(tokens) + self.positions(torch.arange(6)) + self.types(torch.zeros_like(tokens))
            x = self.norm(x)
            mask = torch.where((tokens == 0)[:, None, :], -10000.0, 0.0).to(x.dtype)
            for layer in self.layers:
                x = layer(x, mask)
            return self.head(x)

    return Bert()


@architecture(integers(VOCABULARY, 3, 9), integers(4, 3))
def text_cnn(torch):
    """Kim 2014, arXiv:1408.5882: convolutions of several widths and the maximum over time."""
    nn = torch.nn

    class TextCNN(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, 8)
            self.convs = nn.ModuleList([nn.Conv1d(8, 6, size) for size in (2, 3, 4)])
            self.fc = nn.Linear(18, 4)

        def forward(self, tokens):
            x = self.embedding(tokens).transpose(1, 2)
            pooled = [torch.max(nn.functional.relu(conv(x)), dim=2)[0] for conv in self.convs]
            return self.fc(torch.cat(pooled, 1))

    return TextCNN()


@architecture(integers(VOCABULARY, 2, 10), integers(VOCABULARY, 2, 10))
def gated_cnn(torch):
    """Dauphin et al. 2016, arXiv:1612.08083: causal convolutions with gated linear units."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, dim, size):
            super().__init__()
            self.pad, self.conv = (size - 1, 0), nn.Conv1d(dim, 2 * dim, size)

        def forward(self, x):
            return x + nn.functional.glu(self.conv(nn.functional.pad(x, self.pad)), dim=1)

    class GatedCNN(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(VOCABULARY, 8), nn.Linear(8, VOCABULARY)
            self.blocks = nn.Sequential(Block(8, 3), Block(8, 2))

        def forward(self, tokens):
            return self.head(self.blocks(self.embedding(tokens).mT).mT)

    return GatedCNN()
