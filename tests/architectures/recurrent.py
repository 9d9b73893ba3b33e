"""Recurrent networks, and attention layers of ``torch.nn``."""

from tests.architectures.architecture import architecture, images, integers, regression

VOCABULARY = 11
TOKENS = integers(VOCABULARY, 2, 6), integers(VOCABULARY, 2, 6)


@architecture(integers(VOCABULARY, 5, 2), integers(VOCABULARY, 5, 2))
def lstm_language_model(torch):
    """Zaremba et al. 2014, arXiv:1409.2329, as in PyTorch's example: two layers, weights tied."""
    nn = torch.nn

    class LanguageModel(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Embedding(VOCABULARY, 8), nn.Linear(8, VOCABULARY)
            self.rnn = nn.LSTM(8, 8, 2, dropout=0.0)
            self.decoder.weight = self.encoder.weight

        def forward(self, tokens):
            hidden = (torch.zeros(2, tokens.size(1), 8), torch.zeros(2, tokens.size(1), 8))
            output, _ = self.rnn(self.encoder(tokens), hidden)
            return nn.functional.log_softmax(self.decoder(output), dim=-1)

    return LanguageModel()


@architecture(images(3, 6, 4), integers(4, 3))
def gru_classifier(torch):
    """Cho et al. 2014, arXiv:1406.1078: the last hidden state of two layers, batch first."""
    nn = torch.nn

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru, self.fc = nn.GRU(4, 8, num_layers=2, batch_first=True), nn.Linear(8, 4)

        def forward(self, x):
            _, hidden = self.gru(x)
            return self.fc(hidden[-1])

    return Classifier()


@architecture(images(3, 6, 4), images(3, 6, 1), loss=regression)
def elman_network(torch):
    """Elman 1990, with ReLU in one of its directions' layers as in Le et al. 2015, arXiv:1504.00941."""
    nn = torch.nn

    class Elman(nn.Module):
        def __init__(self):
            super().__init__()
            self.tanh = nn.RNN(4, 6, batch_first=True, bidirectional=True)
            self.relu = nn.RNN(12, 6, nonlinearity="relu", bias=False, batch_first=True)
            self.fc = nn.Linear(6, 1)

        def forward(self, x):
            return self.fc(self.relu(self.tanh(x)[0])[0])

    return Elman()


def tags(torch, model, tokens, labels):
    lengths = [6, 3, 4]
    logits = model(tokens, lengths)
    labels = labels.masked_fill(torch.arange(6)[None, :] >= torch.tensor(lengths)[:, None], -1)
    return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-1)


@architecture(integers(VOCABULARY, 3, 6), integers(4, 3, 6), loss=tags)
def lstm_tagger(torch):
    """Huang et al. 2015, arXiv:1508.01991: both directions, packed sequences of different lengths."""
    nn = torch.nn

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, 6, padding_idx=0)
            self.lstm, self.fc = nn.LSTM(6, 5, batch_first=True, bidirectional=True), nn.Linear(10, 4)

        def forward(self, tokens, lengths):
            x = nn.utils.rnn.pack_padded_sequence(
                self.embedding(tokens), torch.tensor(lengths), batch_first=True, enforce_sorted=False
            )
            output, _ = self.lstm(x)
            output, _ = nn.utils.rnn.pad_packed_sequence(output, batch_first=True, total_length=6)
            return self.fc(output)

    return Tagger()


@architecture(integers(VOCABULARY, 2, 5), *TOKENS)
def sequence_to_sequence(torch):
    """Bahdanau et al. 2014, arXiv:1409.0473: a decoder of cells attends to the encoder's states."""
    nn = torch.nn

    class Seq2Seq(nn.Module):
        def __init__(self):
            super().__init__()
            self.source, self.target = nn.Embedding(VOCABULARY, 6), nn.Embedding(VOCABULARY, 6)
            self.encoder = nn.GRU(6, 4, batch_first=True, bidirectional=True)
            self.cell, self.query, self.key = nn.GRUCell(14, 8), nn.Linear(8, 5), nn.Linear(8, 5)
            self.score, self.out = nn.Linear(5, 1, bias=False), nn.Linear(8, VOCABULARY)

        def forward(self, source, target):
            memory, h = self.encoder(self.source(source))
            h = torch.cat([h[0], h[1]], dim=1)
            keys, embedded, outputs = self.key(memory), self.target(target), []
            for step in range(target.shape[1]):
                weight = self.score(torch.tanh(self.query(h).unsqueeze(1) + keys)).softmax(dim=1)
                context = (weight * memory).sum(dim=1)
                h = self.cell(torch.cat([embedded[:, step], context], dim=1), h)
                outputs.append(self.out(h))
            return torch.stack(outputs, dim=1)

    return Seq2Seq()


@architecture(images(2, 4, 2, 8, 8), images(2, 1, 8, 8), loss=regression)
def conv_lstm(torch):
    """Shi et al. 2015, arXiv:1506.04214: convolutions inside the cell."""
    nn = torch.nn

    class ConvLSTM(nn.Module):
        def __init__(self):
            super().__init__()
            self.gates, self.out = nn.Conv2d(2 + 4, 16, 3, padding=1), nn.Conv2d(4, 1, 1)

        def forward(self, x):
            h = c = torch.zeros(x.size(0), 4, *x.shape[-2:])
            for frame in x.unbind(1):
                i, f, g, o = torch.split(self.gates(torch.cat([frame, h], dim=1)), 4, dim=1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            return self.out(h)

    return ConvLSTM()


@architecture(images(2, 10, 4), integers(3, 2))
def crnn(torch):
    """Convolutions over time, then LSTM cells with a projection, as in speech recognition."""
    nn = torch.nn

    class CRNN(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Sequential(nn.Conv1d(4, 8, 3, stride=2, padding=1), nn.BatchNorm1d(8), nn.Hardtanh(0, 20))
            self.lstm, self.cell, self.fc = nn.LSTM(8, 8, proj_size=4), nn.LSTMCell(4, 6), nn.Linear(6, 3)

        def forward(self, x):
            x, _ = self.lstm(self.conv(x.transpose(1, 2)).permute(2, 0, 1))
            state = None
            for step in x:
                state = self.cell(step, state)
            return self.fc(state[0])

    return CRNN()


@architecture(*TOKENS)
def transformer_encoder(torch):
    """Vaswani et al. 2017, arXiv:1706.03762: ``nn.TransformerEncoder`` with a causal and a padding mask."""
    nn = torch.nn

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.fc = nn.Embedding(VOCABULARY, 12), nn.Linear(12, VOCABULARY)
            layer = nn.TransformerEncoderLayer(12, 3, 16, dropout=0.0, activation="gelu", batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(12), enable_nested_tensor=False)

        def forward(self, tokens):
            causal = torch.triu(torch.ones(6, 6), diagonal=1) > 0
            padding = torch.arange(6)[None, :] >= torch.tensor([6, 4])[:, None]
            x = self.encoder(self.embedding(tokens), mask=causal, src_key_padding_mask=padding)
            return self.fc(x.masked_fill(padding.unsqueeze(-1), 0.0))

    return Encoder()


@architecture(integers(VOCABULARY, 5, 2), integers(VOCABULARY, 6, 2), integers(VOCABULARY, 6, 2))
def transformer(torch):
    """Vaswani et al. 2017, arXiv:1706.03762: ``nn.Transformer``, sequences first, sinusoidal positions."""
    nn = torch.nn

    class Translation(nn.Module):
        def __init__(self):
            super().__init__()
            self.source, self.target = nn.Embedding(VOCABULARY, 8), nn.Embedding(VOCABULARY, 8)
            self.transformer = nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, norm_first=True)
            self.fc = nn.Linear(8, VOCABULARY)
            position = torch.arange(0.0, 6).unsqueeze(1) * torch.exp(-torch.arange(0.0, 8, 2))
            self.register_buffer("positions", torch.stack([position.sin(), position.cos()], -1).flatten(1).unsqueeze(1))

        def forward(self, source, target):
            mask = nn.Transformer.generate_square_subsequent_mask(target.size(0)).to(self.positions.dtype)
            x = self.transformer(
                self.source(source) * 8**0.5 + self.positions[: source.size(0)],
                self.target(target) * 8**0.5 + self.positions[: target.size(0)], tgt_mask=mask,
            )  # fmt: skip
            return self.fc(x)

    return Translation()


@architecture(images(2, 3, 16, 16), integers(5, 2))
def perceiver(torch):
    """Jaegle et al. 2021, arXiv:2103.03206: learned queries attend to the pixels with ``nn.MultiheadAttention``."""
    nn = torch.nn
    F = nn.functional

    class Perceiver(nn.Module):
        def __init__(self):
            super().__init__()
            self.latents = nn.Parameter(torch.zeros(4, 8))
            self.patches = nn.Conv2d(3, 6, 4, 4)
            self.cross = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)
            self.qkv, self.norm, self.fc = nn.Linear(8, 24), nn.LayerNorm(8), nn.Linear(8, 5)

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            h, weight = self.cross(self.latents.expand(x.size(0), -1, -1), x, x)
            q, k, v = (one.unflatten(-1, (2, 4)).transpose(1, 2) for one in self.qkv(self.norm(h)).chunk(3, dim=-1))
            h = h + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            return self.fc(h.mean(1)) + weight.amax((1, 2)).unsqueeze(-1)

    return Perceiver()
