"""A small training run that uses every kind of state.

``python -m tests.checkpoint.training FOLDER STEPS`` resumes from the newest checkpoint in FOLDER, saves after every
third step, prints one line per step, and a checksum at the end.
"""

import hashlib
import sys

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import checkpoint, data, metrics, nn, optim

SAMPLES, BATCH_SIZE = 50, 8


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 16)
        self.norm = nn.BatchNorm1d(16)
        self.dropout = nn.Dropout(0.3)
        self.last = nn.Linear(16, 3)

    def forward(self, x):
        return self.last(self.dropout(F.relu(self.norm(self.first(x)))))


def add_noise(batch, rng):
    x, y = batch
    return x + rng.normal(scale=0.1, size=x.shape).astype(np.float32), y


class Run:
    def __init__(self, folder, num_workers=2, compiled=False):
        lucid.manual_seed(0)
        rng = np.random.default_rng(0)
        x = rng.normal(size=(SAMPLES, 6)).astype(np.float32)
        dataset = data.TensorDataset(x, (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0))
        self.loader = data.DataLoader(
            dataset,
            BATCH_SIZE,
            shuffle=True,
            seed=5,
            num_workers=num_workers,
            batch_transform=add_noise,
            drop_last=compiled,  # one shape, one graph
        )
        self.model = Net()
        self.optimizer = optim.AdamW(self.model.parameters(), lr=0.01)
        self.scheduler = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 200)
        self.ema = optim.EMA(self.model, decay=0.9)
        self.scaler = lucid.amp.GradScaler(init_scale=4.0, growth_interval=7)
        self.accuracy, self.loss = metrics.Accuracy(), metrics.MeanMetric()
        self.history = []
        self.steps_done = 0
        self.manager = checkpoint.Manager(folder, keep=2, best="accuracy")
        if compiled:
            state = [self.model, self.optimizer, self.ema, self.scaler, self.accuracy, self.loss]
            self.train_step = lucid.compile(self.train_step, state=state)
        found = self.manager.restore(self.parts())
        if found is not None:
            self.steps_done, self.history = found.step, found.values["history"]

    def parts(self):
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "ema": self.ema,
            "scaler": self.scaler,
            "loader": self.loader,
            "accuracy": self.accuracy,
            "loss": self.loss,
            "random": lucid.random,
            "history": self.history,
        }

    def train_step(self, x, y):
        self.optimizer.zero_grad()
        logits = self.model(x)
        loss = F.cross_entropy(logits, y)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.ema.update()
        self.accuracy.update(logits, y)
        self.loss.update(loss, len(y))

    def run_until(self, steps, every=3, after_step=lambda run: None):
        """Train up to step ``steps``, with a checkpoint after every ``every`` steps."""
        while self.steps_done < steps:
            for x, y in self.loader:
                self.train_step(x, y)
                self.scheduler.step()
                self.steps_done += 1
                if self.steps_done % every == 0:
                    self.save()
                after_step(self)
                if self.steps_done == steps:
                    return self
            self.history.append([self.loss.compute().item(), self.accuracy.compute().item()])
            self.accuracy.reset()
            self.loss.reset()
        return self

    def save(self):
        metric = {"accuracy": (self.steps_done * 7) % 11}  # varies, so that the best one changes
        self.manager.save(self.parts(), step=self.steps_done, epoch=len(self.history), metrics=metric)

    def checksum(self):
        """A hash of the bits of weights, averages, moments, sums and the random key."""
        digest = hashlib.sha256(repr(self.history).encode())
        moments = [t for state in self.optimizer.state_dict()["state"].values() for t in state.values()]
        sums = [*self.accuracy.state_tensors(), *self.loss.state_tensors(), *self.scaler.state_tensors()]
        weights = [*self.model.state_dict().values(), *self.ema.averages().values()]
        for tensor in [*weights, *moments, *sums, lucid.random.get_state()]:
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


def main():
    run = Run(sys.argv[1])
    print("ready", flush=True)
    run.run_until(int(sys.argv[2]), after_step=lambda run: print("step", run.steps_done, flush=True))
    print("checksum", run.checksum(), flush=True)


if __name__ == "__main__":
    main()
