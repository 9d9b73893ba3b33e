"""Training that survives being killed: the whole state of a run on disk, from which it goes on bit for bit.

::

    manager = lucid.checkpoint.Manager("runs/cifar10/checkpoints", keep=3, best="accuracy")
    state = {
        "model": model, "optimizer": optimizer, "scheduler": scheduler, "ema": ema, "scaler": scaler,
        "loader": loader, "accuracy": accuracy, "random": lucid.random,
    }
    found = manager.restore(state)  # None at the first start
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

A checkpoint is a folder of safetensors and JSON. It is complete or not there, whenever the process is killed; a disk
that damages it later is found out by checksums, and the checkpoint before is used.
"""

from lucid.checkpoint.folder import Checkpoint, CheckpointError, DamagedError
from lucid.checkpoint.manager import Manager
from lucid.checkpoint.stop_signals import StopSignals

__all__ = ["Checkpoint", "CheckpointError", "DamagedError", "Manager", "StopSignals"]
