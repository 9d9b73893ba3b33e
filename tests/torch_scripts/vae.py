"""A variational autoencoder, in the style of PyTorch's example."""

import torch
import torch.utils.data
from torch import nn, optim
from torch.nn import functional as F

torch.manual_seed(1)
device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
kwargs = {"num_workers": 1, "pin_memory": True} if torch.accelerator.is_available() else {}


class Squares(torch.utils.data.Dataset):
    """Gray images with a bright square somewhere."""

    def __len__(self):
        return 96

    def __getitem__(self, index):
        image = torch.zeros(1, 12, 12)
        at = index % 8
        image[:, at : at + 4, at : at + 4] = 1.0
        return image, at


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(144, 64)
        self.fc21 = nn.Linear(64, 8)
        self.fc22 = nn.Linear(64, 8)
        self.fc3 = nn.Linear(8, 64)
        self.fc4 = nn.Linear(64, 144)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        return mu + torch.randn_like(std) * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 144))
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(recon, x, mu, logvar):
    bce = F.binary_cross_entropy(recon, x.view(-1, 144), reduction="sum")
    return bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


model = VAE().to(device)
optimizer = optim.Adam(model.parameters(), lr=1e-2)
loader = torch.utils.data.DataLoader(Squares(), batch_size=16, shuffle=True, **kwargs)
losses = []
for epoch in range(5):
    model.train()
    total = 0
    for data, _ in loader:
        data = data.to(device)
        optimizer.zero_grad()
        loss = loss_function(*((lambda r, m, v: (r, data, m, v))(*model(data))))
        loss.backward()
        total += loss.item()
        optimizer.step()
    losses.append(total / len(loader.dataset))
    print(f"epoch {epoch}: average loss {losses[-1]:.4f}")
with torch.no_grad():
    sample = model.decode(torch.randn(4, 8).to(device)).cpu()
torch.save({"sample": sample.view(4, 1, 12, 12), "losses": losses}, "vae.pt")
assert losses[-1] < 0.7 * losses[0], losses
