"""Train any model: a trainer, recipes, run folders with a report, and exact resume.

::

    from lucid import nn, training

    model = nn.Sequential(nn.Linear(20, 64), nn.GELU(), nn.Linear(64, 3))
    recipe = training.Recipe(epochs=20, batch_size=32, lr=1e-2, ema=0.99)
    trainer = training.Trainer(model, recipe, train=(x, y), test=(x_test, y_test), folder="runs/mine")
    trainer.fit(resume="auto")
    print(trainer.evaluate().accuracy)

The folder then has report.html, history.csv, curves.png, best.safetensors, last.safetensors and checkpoints. Run again
after a crash, the program continues where it was, and ends with the same weights bit for bit.

Progress bars and curves need tqdm and matplotlib: ``pip install "lucid-mlx[train]"``. ``training.small_images``,
``training.finetuning`` and ``training.pretraining`` are what ``lucid train``, ``lucid finetune`` and ``lucid pretrain``
run.
"""

from lucid.models.weights.save import weights_metadata
from lucid.training._find_lr import LRCurve, find_lr
from lucid.training.batches import augmentation
from lucid.training.distillation import Distillation
from lucid.training.evaluation import Evaluation
from lucid.training.recipe import Recipe, SettingError, setting
from lucid.training.run_folder import RunFolder
from lucid.training.tasks import MultiLabel, Regression, Task
from lucid.training.trainer import DivergedError, Stopped, Trainer

__all__ = [
    "Distillation",
    "DivergedError",
    "Evaluation",
    "LRCurve",
    "MultiLabel",
    "Recipe",
    "Regression",
    "RunFolder",
    "SettingError",
    "Stopped",
    "Task",
    "Trainer",
    "augmentation",
    "find_lr",
    "setting",
    "weights_metadata",
]
