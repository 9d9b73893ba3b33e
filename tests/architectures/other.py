"""Networks for other inputs and other losses."""

import math

from tests.architectures.architecture import architecture, images, integers, regression


def triplet(torch, model, *inputs):
    outputs = [model(x) for x in inputs]
    return outputs, torch.nn.functional.triplet_margin_loss(*outputs, margin=1.5)


@architecture(images(3, 1, 8, 8), images(3, 1, 8, 8), images(3, 1, 8, 8), loss=triplet)
def siamese(torch):
    """Schroff et al. 2015, arXiv:1503.03832: one network embeds three images, which the triplet loss compares."""
    nn = torch.nn

    class Embedding(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.prelu = nn.Conv2d(1, 6, 3, 2), nn.PReLU(6)
            self.fc = nn.Linear(54, 8)

        def forward(self, x):
            return nn.functional.normalize(self.fc(self.prelu(self.conv(x)).flatten(1)), dim=1)

    return Embedding()


def temporal_difference(torch, model, state, action, reward, following):
    values = model(state).gather(1, action.unsqueeze(1)).squeeze(1)
    with torch.no_grad():
        expected = reward + 0.99 * model(following).max(1)[0]
    return values, torch.nn.functional.smooth_l1_loss(values, expected)


@architecture(images(5, 4), integers(3, 5), images(5), images(5, 4), loss=temporal_difference)
def dueling_dqn(torch):
    """Wang et al. 2015, arXiv:1511.06581: values and advantages, trained by the Huber loss."""
    nn = torch.nn

    class DQN(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU())
            self.value, self.advantage = nn.Linear(12, 1), nn.Linear(12, 3)

        def forward(self, state):
            x = self.body(state)
            advantage = self.advantage(x)
            return self.value(x) + advantage - advantage.mean(dim=1, keepdim=True)

    return DQN()


def actor_critic(torch, model, state, action, advantage, target):
    F = torch.nn.functional
    logits, value = model(state)
    log_probabilities = F.log_softmax(logits, dim=-1)
    chosen = log_probabilities.gather(1, action[:, None]).squeeze(1)
    ratio = torch.exp(chosen - chosen.detach() + 0.1 * advantage)
    policy = -torch.min(ratio * advantage, torch.clamp(ratio, 0.9, 1.1) * advantage).mean()
    entropy = -(log_probabilities.exp() * log_probabilities).sum(-1).mean()
    return (logits, value), policy + 0.5 * F.mse_loss(value.squeeze(-1), target) - 0.01 * entropy


@architecture(images(5, 4), integers(3, 5), images(5), images(5), loss=actor_critic)
def ppo(torch):
    """Schulman et al. 2017, arXiv:1707.06347: actor and critic with the clipped objective."""
    nn = torch.nn

    class ActorCritic(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh())
            self.actor, self.critic = nn.Linear(12, 3), nn.Linear(12, 1)

        def forward(self, state):
            x = self.body(state)
            return self.actor(x), self.critic(x)

    return ActorCritic()


@architecture(images(2, 5, 3), images(2, 3), loss=regression)
def nerf(torch):
    """Mildenhall et al. 2020, arXiv:2003.08934: positional encoding, and volume rendering along rays."""
    nn = torch.nn

    class NeRF(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(15, 16), nn.Linear(31, 16)])
            self.density, self.color = nn.Linear(16, 1), nn.Linear(16, 3)

        def forward(self, points):
            waves = [f(2**k * points) for k in range(2) for f in (torch.sin, torch.cos)]
            encoded = torch.cat([points, *waves], -1)
            h = nn.functional.relu(self.layers[0](encoded))
            h = nn.functional.relu(self.layers[1](torch.cat([h, encoded], -1)))
            density = nn.functional.softplus(self.density(h).squeeze(-1))
            alpha = 1 - torch.exp(-density * 0.3)
            light = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha + 1e-10], -1), -1)[:, :-1]
            return torch.sum((alpha * light)[..., None] * torch.sigmoid(self.color(h)), dim=-2)

    return NeRF()


@architecture(images(3, 3, 10), integers(4, 3))
def point_net(torch):
    """Qi et al. 2016, arXiv:1612.00593: a transform of the points, shared layers, the maximum over points."""
    nn = torch.nn

    class PointNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.transform = nn.Sequential(nn.Conv1d(3, 8, 1), nn.BatchNorm1d(8), nn.ReLU())
            self.matrix = nn.Linear(8, 9)
            self.features = nn.Sequential(nn.Conv1d(3, 12, 1), nn.BatchNorm1d(12), nn.ReLU())
            self.head = nn.Linear(12, 4)

        def forward(self, x):
            matrix = self.matrix(self.transform(x).amax(dim=2)).view(-1, 3, 3) + torch.eye(3).repeat(x.size(0), 1, 1)
            x = torch.bmm(x.transpose(2, 1), matrix).transpose(2, 1)
            return self.head(torch.max(self.features(x), 2, keepdim=True)[0].view(-1, 12))

    return PointNet()


@architecture(images(7, 6), integers(7, 2, 12), integers(4, 7))
def graph_convolution(torch):
    """Kipf and Welling 2016, arXiv:1609.02907: messages along edges, divided by the roots of the degrees."""
    nn = torch.nn

    class Layer(nn.Module):
        def __init__(self, cin, cout):
            super().__init__()
            self.linear, self.bias = nn.Linear(cin, cout, bias=False), nn.Parameter(torch.zeros(cout))

        def forward(self, x, edges):
            source, target = edges
            loops = torch.arange(x.size(0))
            source, target = torch.cat([source, loops]), torch.cat([target, loops])
            degree = torch.zeros_like(x[:, 0]).scatter_add(0, target, torch.ones_like(target).to(x.dtype))
            norm = (degree[source] * degree[target]).rsqrt()
            messages = self.linear(x).index_select(0, source) * norm.unsqueeze(1)
            out = torch.zeros(x.size(0), messages.size(1), dtype=x.dtype)
            return out.index_add(0, target, messages) + self.bias

    class GCN(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = Layer(6, 8), Layer(8, 4)

        def forward(self, x, edges):
            return self.conv2(nn.functional.elu(self.conv1(x, edges)), edges)

    return GCN()


def clicks(torch, model, fields, x, target):
    logits = model(fields, x)
    return logits, torch.nn.functional.binary_cross_entropy_with_logits(logits, (target > 0).to(x.dtype))


@architecture(integers(9, 6, 3), images(6, 4), images(6), loss=clicks)
def deep_factorization_machine(torch):
    """Guo et al. 2017, arXiv:1703.04247: products of pairs of embeddings beside a deep network."""
    nn = torch.nn

    class DeepFM(nn.Module):
        def __init__(self):
            super().__init__()
            self.factors, self.linear = nn.Embedding(27, 5), nn.Embedding(27, 1)
            self.deep = nn.Sequential(nn.Linear(19, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 1))
            self.bias = nn.Parameter(torch.zeros(1))

        def forward(self, fields, x):
            index = fields + torch.arange(3) * 9
            v = self.factors(index)
            pairs = 0.5 * (v.sum(1).square() - v.square().sum(1)).sum(1)
            deep = self.deep(torch.hstack([v.flatten(1), x])).squeeze(1)
            return self.bias + self.linear(index).sum((1, 2)) + pairs + deep

    return DeepFM()


@architecture(images(3, 12), integers(4, 3))
def mixture_of_experts(torch):
    """Shazeer et al. 2017, arXiv:1701.06538: the two best experts of each input."""
    nn = torch.nn

    class MixtureOfExperts(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Linear(12, 4)
            self.experts = nn.ModuleList(
                [nn.Sequential(nn.Linear(12, 8), nn.Mish(), nn.Linear(8, 4)) for _ in range(4)]
            )

        def forward(self, x):
            values, indices = self.gate(x).topk(2, dim=-1)
            weights = torch.zeros_like(self.gate(x)).scatter(1, indices, values.softmax(-1))
            outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
            return torch.einsum("ne,nec->nc", weights, outputs)

    return MixtureOfExperts()


@architecture(images(2, 8, 6), integers(3, 2, 8))
def state_space(torch):
    """Gu and Dao 2023, arXiv:2312.00752: a selective state space with gates, as a loop over time."""
    nn = torch.nn

    class Selective(nn.Module):
        def __init__(self, dim, state):
            super().__init__()
            self.projection, self.conv = nn.Linear(dim, 2 * dim), nn.Conv1d(dim, dim, 3, groups=dim, padding=2)
            self.x_proj, self.dt_proj = nn.Linear(dim, 2 * state + 1), nn.Linear(1, dim)
            self.log_a, self.d = nn.Parameter(torch.zeros(dim, state)), nn.Parameter(torch.ones(dim))
            self.out, self.state = nn.Linear(dim, 3), state

        def forward(self, x):
            n, t, dim = x.shape
            x, gate = self.projection(x).chunk(2, -1)
            x = nn.functional.silu(self.conv(x.transpose(1, 2))[..., :t].transpose(1, 2))
            dt, b, c = torch.split(self.x_proj(x), [1, self.state, self.state], dim=-1)
            dt = nn.functional.softplus(self.dt_proj(dt))
            decay = torch.exp(dt.unsqueeze(-1) * -torch.exp(self.log_a))
            update = (dt * x).unsqueeze(-1) * b.unsqueeze(2)
            h, outputs = torch.zeros(n, dim, self.state, dtype=x.dtype), []
            for at in range(t):
                h = decay[:, at] * h + update[:, at]
                outputs.append((h * c[:, at].unsqueeze(1)).sum(-1))
            y = torch.stack(outputs, dim=1) + x * self.d
            return self.out(y * nn.functional.silu(gate))

    return Selective(6, 4)


@architecture(images(6, 2), images(6, 1), loss=regression)
def siren(torch):
    """Sitzmann et al. 2020, arXiv:2006.09661: sine activations."""
    nn = torch.nn

    class Siren(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 12), nn.Linear(12, 12)])
            self.out = nn.Linear(12, 1)

        def forward(self, x):
            for layer in self.layers:
                x = torch.sin(3 * layer(x) / math.sqrt(2))
            return self.out(x)

    return Siren()
