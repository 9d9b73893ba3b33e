"""Checkpoints of training runs: the whole state on disk, from which training resumes bit for bit.

::

    manager = lucid.checkpoint.Manager("runs/cifar10/checkpoints", keep=3, best="accuracy")
    state = {
        "model": model, "optimizer": optimizer, "scheduler": scheduler, "ema": ema, "scaler": scaler,
        "loader": loader, "accuracy": accuracy, "random": lucid.random,
    }
    found = manager.restore(state)  # None on the first run
    step, epoch = (found.step, found.epoch) if found else (0, 0)
    with lucid.checkpoint.StopSignals() as stop:
        while epoch < epochs:
            for images, labels in loader:  # after a restore: the rest of the epoch
                train_step(images, labels)
                scheduler.step()
                step += 1
                if stop.requested:
                    manager.save(state, step=step, epoch=epoch)
                    sys.exit(stop.exit_code)
            epoch += 1
            manager.save(state, step=step, epoch=epoch, metrics={"accuracy": evaluate(model)})

    manager.restore({"model": model}, manager.best(), strict=False)  # the best weights
    lucid.load(manager.best().path / "model.safetensors")            # or as tensors, in another program

A checkpoint is a folder of safetensors and JSON, written atomically, so the process may be killed at any moment.
Checksums detect later corruption, in which case the previous checkpoint is used.
"""

from lucid.checkpoint.folder import Checkpoint, CheckpointError, DamagedError
from lucid.checkpoint.manager import Manager
from lucid.checkpoint.stop_signals import StopSignals

__all__ = ["Checkpoint", "CheckpointError", "DamagedError", "Manager", "StopSignals"]
