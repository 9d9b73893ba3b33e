"""``Trainer``: the training step and the loop around it, from top to bottom in the order in which things happen.

``fit`` runs epochs; an epoch trains, evaluates, writes the run folder and saves a checkpoint; ``make_step`` builds the
step of the optimizer, which ``lucid.compile`` turns into one graph.
"""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import checkpoint, nn, optim
from lucid import distributed as dist
from lucid.evaluation import ViewAverage
from lucid.metrics import Accuracy, ConfusionMatrix, MeanMetric, Metric
from lucid.training.balance import cross_entropy, weights_of
from lucid.training.batches import as_tensor, augmentation_asked, image_reader, test_loader, to_size, train_loader
from lucid.training.class_labels import ClassLabels
from lucid.training.distillation import Distillation
from lucid.training.evaluation import Evaluation
from lucid.training.metric_values import metric_values, preserved
from lucid.training.mistakes import most_confident_mistakes, predictions
from lucid.training.optimizer import check_memory, lr_schedule, make_optimizer, parameter_groups
from lucid.training.progress import Clock, ProgressBar, epoch_line, require, timed
from lucid.training.recipe import Recipe, SettingError
from lucid.training.resume import STEPS_BETWEEN_READINGS, Checkpoints, any_process, is_requested, prepare_run
from lucid.training.run_folder import RunFolder, best_row
from lucid.training.tasks import Task, evaluated, target_reader, task_metrics

_AMP_DTYPES = {"none": None, "bfloat16": lucid.bfloat16, "float16": lucid.float16}


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite."""

    names = ("lr",)  # see ``rename_settings``


class Stopped(SystemExit):
    """Raised by ``fit`` after Ctrl-C or SIGTERM, once everything is saved; its code is 130 or 143.

    Uncaught, it ends the program with that exit code.
    """


class Trainer:
    """Trains a model as a recipe says: optimizer, schedule, weight average, evaluation, checkpoints, report.

    Args:
        model: Any module. ``lucid.manual_seed`` before building it makes a run reproducible.
        recipe: The settings; ``Recipe()`` by default. Its augmentation takes effect with
            ``transform=augmentation(recipe, ...)``.
        train: A tuple of arrays ``(inputs, targets)`` (NumPy, MLX or tensors), a dataset with ``__getitem__`` and
            ``__len__`` (and no ``__iter__``), or a loader: anything with a length that yields batches of inputs and
            targets. A custom loader needs ``state_dict`` and ``load_state_dict`` to resume inside an epoch;
            ``set_epoch(epoch)``, if it has this but no ``state_dict``, is called before each epoch.
        test: Data of the same kind to evaluate on after every epoch, in its own order.
        folder: Where results and checkpoints go. Without one, nothing is written.
        loss: ``loss(outputs, targets)``, a scalar tensor. Outputs may be a tuple in training, of which metrics see
            the first, for example with an auxiliary head. By default the model is a classifier trained with cross
            entropy and the recipe's label smoothing; accuracy and the confusion matrix are reported.
        task: ``MultiLabel(classes)`` or ``Regression()``, if targets are not classes; it comes with its own loss.
        distillation: A ``Distillation``, whose teacher the model learns from.
        metrics: Additional metrics by name, updated with ``(outputs, targets)`` in training and evaluation.
        classes: Class names. With them the model counts as a classifier, whatever the ``loss``.
        transform: ``transform(inputs, targets)`` returns both; it runs inside the training step.
        test_transform: ``test_transform(inputs)`` returns the inputs for evaluation.
        compile: Run the step as one compiled graph. By default only on a GPU, since building it takes long on a CPU.
        save_minutes: Also save a checkpoint within an epoch whenever this many minutes have passed.
        split: The name of the ``test`` data in results: "test" or "val".
        unit: What a sample is called in results.

    Raises:
        SettingError: The recipe does not fit the data.
        IndexError: A class label is outside the ``classes``; without names, the first step raises it.
        ValueError, TypeError: Another argument is invalid.

    Example:
        >>> import numpy as np
        >>> from lucid import nn, training
        >>> x = np.random.default_rng(0).normal(size=(64, 20))
        >>> y = (x[:, 0] > 0).astype(np.int32)
        >>> model = nn.Sequential(nn.Linear(20, 64), nn.GELU(), nn.Linear(64, 2))
        >>> recipe = training.Recipe(epochs=2, batch_size=32, lr=1e-2, ema=0.9)
        >>> trainer = training.Trainer(model, recipe, train=(x, y), test=(x, y))
        >>> trainer.fit(progress=False)
        >>> len(trainer.history)
        2
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe | None = None,
        *,
        train: Any,
        test: Any = None,
        folder: str | Path | RunFolder | None = None,
        loss: Callable[[Any, Any], lucid.Tensor] | None = None,
        task: Task | None = None,
        distillation: Distillation | None = None,
        metrics: Mapping[str, Metric] | None = None,
        classes: Sequence[str] = (),
        transform: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        test_transform: Callable[[Any], Any] | None = None,
        compile: bool | None = None,
        save_minutes: float = 10.0,
        split: str = "test",
        unit: str = "samples",
    ) -> None:
        self.model = model
        self.recipe = recipe = recipe or Recipe()
        if transform is None and (asked := augmentation_asked(recipe)):
            raise SettingError(f"{asked} needs transform=training.augmentation(recipe, ...)", asked)
        self.transform, self.test_transform = transform, test_transform
        self.as_targets = target_reader(task, loss is not None or bool(classes), train, test, transform)
        self.task, self.distillation, self.split, self.unit = task, distillation, split, unit
        self.loss_function = loss if task is None else task.loss
        self.is_classifier = task is None and (loss is None or bool(classes))
        self.classes = list((classes or getattr(train, "classes", ())) if task is None else task.classes)
        self.averaged = model if recipe.views == "none" else ViewAverage(model, recipe.views)  # what is evaluated
        self.train_loader = train_loader(train, recipe)
        self.test_loader = None if test is None else test_loader(test, recipe)
        if not len(self.train_loader):
            raise ValueError("Trainer: the train loader has no batches")
        self.is_compiled = lucid.get_default_device().type != "cpu" if compile is None else compile

        check_memory(recipe, model)
        dist.broadcast_parameters(model)
        dist.fold_in_rank()
        self.optimizer = make_optimizer(recipe, parameter_groups(recipe, model))
        self.lr_factor = lr_schedule(recipe, len(self.train_loader))
        self.scheduler = optim.lr_scheduler.LambdaLR(self.optimizer, self.lr_factor)
        self.scaler = lucid.amp.GradScaler(enabled=recipe.amp == "float16")
        self.ema = optim.EMA(model, recipe.ema, warmup=True) if recipe.ema else None
        self.mean_loss = MeanMetric()
        self.accuracy = Accuracy() if self.is_classifier else None  # in training
        self.metrics = task_metrics(task, metrics)
        self.labels = ClassLabels(train, test, transform) if self.loss_function is None else ClassLabels()
        if self.classes:
            self.labels.check_all(len(self.classes))
        self.class_weights = weights_of(recipe, self.train_loader, len(self.classes), self.loss_function is None, task)
        self._image_size: int | None = None  # of the step; None: as they are
        self.step = self.make_step()

        self.history: list[dict[str, Any]] = []  # a row for each complete epoch
        self.clock = Clock()
        self.evaluation: Evaluation | None = None  # after the last epoch
        self.first_batch: tuple[lucid.Tensor, lucid.Tensor] | None = None  # for the report
        self.batches: Iterator[Any] | None = None  # of the next epoch, when its loader has been started already
        if folder is not None and not isinstance(folder, RunFolder):
            folder = RunFolder(Path(folder), image=image_reader(test))
        self.folder: RunFolder | None = folder
        self.checkpoints: Checkpoints | None = None
        if self.folder is not None:
            column, mode = self.monitor
            self.checkpoints = Checkpoints(
                self.folder.path / "checkpoints", save_minutes, best=column.split("_", 1)[1], mode=mode
            )
        self._is_prepared = False

    @property
    def epoch(self) -> int:
        """The number of the current epoch, from 1."""
        return len(self.history) + 1

    @property
    def monitor(self) -> tuple[str, str]:
        """The column of the history that decides which epoch is best, and whether by its "max" or "min"."""
        name, mode = ("accuracy", "max") if self.is_classifier else ("loss", "min")
        if self.task is not None and self.test_loader is not None:
            name, mode = self.task.monitor
        return f"{'train' if self.test_loader is None else self.split}_{name}", mode

    @property
    def can_save_within_epochs(self) -> bool:
        """Whether the train loader can save and restore its position."""
        return hasattr(self.train_loader, "state_dict") and hasattr(self.train_loader, "load_state_dict")

    def weights(self) -> dict[str, lucid.Tensor]:
        """The weights to evaluate and save: the averages if there are any."""
        return self.model.state_dict() if self.ema is None else self.ema.averages()

    def state(self) -> dict[str, Any]:
        """Everything that training needs to resume, for ``lucid.checkpoint``."""
        parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "scaler": self.scaler,
            "loss": self.mean_loss,
            **{f"metric.{name}": metric for name, metric in self.metrics.items()},
        }
        if self.accuracy is not None:
            parts["accuracy"] = self.accuracy
        if self.can_save_within_epochs:
            parts["loader"] = self.train_loader
        if self.ema is not None:
            parts["ema"] = self.ema
        return parts

    def running_metrics(self) -> dict[str, Metric]:
        """What is measured in training, by name."""
        accuracy = {} if self.accuracy is None else {"accuracy": self.accuracy}
        return {"loss": self.mean_loss, **accuracy, **self.metrics}

    # The run ---------------------------------------------------------------------------------------------------------

    def prepare(self, *, resume: str | Path | None = None, overwrite: bool = False) -> None:
        """Restore the checkpoint to resume from, or clear the checkpoints of an earlier run; ``fit`` calls it.

        Until ``fit`` ends, no other run can use the folder.
        """
        self.clock, self.batches = Clock(), None
        self._reset_metrics()
        if self.folder is None or self.checkpoints is None:
            if resume is not None or overwrite:
                raise ValueError("Trainer: resume and overwrite need a folder")
        else:
            with contextlib.ExitStack() as stack:
                stack.enter_context(contextlib.closing(self.folder))
                self.folder.claim()
                saved, path = prepare_run(self.checkpoints, resume, overwrite)
                dist.barrier()  # all processes have looked before one of them changes the folder
                if saved is not None:
                    self.checkpoints.restore(self, path)
                elif dist.is_main():
                    self.checkpoints.clear()
                stack.pop_all()  # without an error it stays claimed
        self._is_prepared = True

    def fit(self, *, resume: str | Path | None = None, overwrite: bool = False, progress: bool = True) -> None:
        """Train until the recipe's epochs are done; after each one evaluate, write the results and save a checkpoint.

        With a folder, Ctrl-C and SIGTERM save a checkpoint after the current step, and a run that was killed resumes
        from its newest checkpoint; in both cases it ends bit for bit as if it had not been interrupted.

        Args:
            resume: "auto" continues the run in the folder from its newest checkpoint, or starts if there is none. The
                path of a checkpoint continues from there.
            overwrite: Start over even if the folder contains an unfinished run.
            progress: Show a progress bar and a line for each epoch.

        Raises:
            Stopped: A signal arrived, and everything is saved.
            DivergedError: The loss became NaN or infinite.
            SettingError: The folder contains an unfinished run, or one with a different recipe, or is in use.
            CheckpointError: The checkpoint is damaged, or does not fit the trainer.
            ImportError: tqdm is missing, for progress, or matplotlib, for the curves.
            OSError: A file cannot be written.
        """
        if not self._is_prepared:
            self.prepare(resume=resume, overwrite=overwrite)
        if self.is_finished():
            if self.folder is not None:
                self.folder.close()
            return
        with contextlib.ExitStack() as stack:
            self._is_prepared = False  # after an interruption the next call restores a checkpoint
            stop: Any = None
            stack.callback(self._close_loader)
            if self.folder is not None:
                stack.enter_context(contextlib.closing(self.folder))
            if progress:
                require("tqdm")
            if self.folder is not None:
                if dist.is_main():
                    self.folder.prepare()
                if threading.current_thread() is threading.main_thread():  # others get no signals
                    stop = stack.enter_context(checkpoint.StopSignals())
            while not self.is_finished():
                is_stopped = any_process(0, is_requested(stop))[0]
                if is_stopped or not self._run_epoch(stop, progress):
                    # Without a code, the signal reached another process.
                    raise Stopped(getattr(stop, "exit_code", 0) or 143)

    def is_finished(self) -> bool:
        """Whether all epochs are done, or the best one is as many epochs ago as the recipe's ``patience``."""
        done, patience = len(self.history), self.recipe.patience
        if done and patience and done - best_row(self.history, *self.monitor)["epoch"] >= patience:
            return True
        return done >= self.recipe.epochs

    def _run_epoch(self, stop: Any, progress: bool) -> bool:
        """Train, evaluate, write. Returns False if stopped while training."""
        title = f"epoch {self.epoch:{len(str(self.recipe.epochs))}}/{self.recipe.epochs}"
        epochs_left = self.recipe.epochs - len(self.history)
        with contextlib.ExitStack() as stack:
            bar = None
            if progress:
                bar = ProgressBar(title, len(self.train_loader), self.clock, epochs_left, self.unit)
                stack.enter_context(bar)
            if not self._train_epoch(bar, stop):
                return False
            dist.reduce_metrics(*self.running_metrics().values())
            start = time.perf_counter()
            trained = metric_values(self.running_metrics())
            self.evaluation = self.evaluate() if self.test_loader is not None else None
            row = self._row(trained, time.perf_counter() - start)
        self.history.append(row)
        self.clock = Clock()
        self._reset_metrics()
        if dist.is_main():
            if self.folder is not None:
                self.folder.write(self)
            if progress:
                left = float(np.median([one["seconds"] for one in self.history])) * (epochs_left - 1)
                is_best = best_row(self.history, *self.monitor) is row
                line = epoch_line(title, row, self.unit, self.monitor[0], is_best=is_best, seconds_left=left)
                print(line, flush=True)
        if self.checkpoints is not None:
            self.checkpoints.save(self)
        return True

    def _train_epoch(self, bar: ProgressBar | None, stop: Any) -> bool:
        """Train the rest of the current epoch. Returns False if stopped early, after saving if that is possible."""
        self.model.train()
        self._set_image_size()
        clock, steps = self.clock, len(self.train_loader)
        start = time.perf_counter() - clock.seconds
        iterator, self.batches = self.batches or self._start_loader(self.epoch), None
        for inputs, targets in timed(iterator, clock):
            x, y = as_tensor(inputs), self.as_targets("train", targets)
            if self.first_batch is None and self.folder is not None and self.folder.needs_samples:
                size = len(y) // self.recipe.accumulate
                self.first_batch = x[:size], y[:size]
            self.step(x, y)
            self.scheduler.step()
            clock.seen += len(targets) * dist.get_world_size()
            clock.steps += 1
            # Reading a value waits for all work so far, so it is done only now and then.
            if clock.steps % STEPS_BETWEEN_READINGS == 0 or (bar is not None and bar.is_due()):
                self._check_loss(bar)
            is_due = self.checkpoints is not None and self.can_save_within_epochs and self.checkpoints.is_due()
            if clock.steps < steps and any(requests := any_process(clock.steps, is_requested(stop), is_due)):
                clock.seconds = time.perf_counter() - start
                if self.checkpoints is not None and self.can_save_within_epochs:
                    self.checkpoints.save(self)
                if requests[0]:
                    return False
        self._check_loss(bar)
        clock.seconds = time.perf_counter() - start
        if self.epoch < self.recipe.epochs:
            self.batches = self._start_loader(self.epoch + 1)  # its threads read while the model is evaluated
        return True

    def _set_image_size(self) -> None:
        """Build the step for the image size of the current epoch, if it differs from that of the last one."""
        sizes = self.recipe.image_sizes
        size = sizes[(self.epoch - 1) * len(sizes) // self.recipe.epochs] if sizes else None
        if size != self._image_size:
            self._image_size = size
            self.step = self.make_step()

    def _check_loss(self, bar: ProgressBar | None) -> None:
        values = metric_values(self.running_metrics())
        if not math.isfinite(values["loss"]):
            raise DivergedError(f"Loss became NaN or infinite in epoch {self.epoch}; try a lower lr")
        if bar is not None:
            bar.show(self.clock, values)

    def _reset_metrics(self) -> None:
        for metric in self.running_metrics().values():
            metric.reset()

    def _start_loader(self, epoch: int) -> Iterator[Any]:
        if not self.can_save_within_epochs and hasattr(self.train_loader, "set_epoch"):
            self.train_loader.set_epoch(epoch - 1)
        return iter(self.train_loader)

    def _close_loader(self) -> None:
        """Stop the threads that read ahead for the next epoch."""
        batches, self.batches = self.batches, None
        if batches is not None and hasattr(batches, "close"):
            batches.close()

    def make_step(self) -> Callable[[lucid.Tensor, lucid.Tensor], None]:
        """One step of the optimizer: transform, forward, backward, clip, update, average. It waits for no value."""
        recipe, model, optimizer, scaler, ema = self.recipe, self.model, self.optimizer, self.scaler, self.ema
        labels, image_size = self.labels, self._image_size
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        amp_dtype = _AMP_DTYPES[recipe.amp]
        # Mixed targets are smoothed when they are mixed.
        smoothing = 0.0 if recipe.mixup or recipe.cutmix else recipe.label_smoothing
        plain = partial(cross_entropy, weight=self.class_weights, label_smoothing=smoothing)
        loss_function, distillation = self.loss_function or plain, self.distillation

        def step(inputs: lucid.Tensor, targets: lucid.Tensor) -> None:
            optimizer.zero_grad()
            size, rest = divmod(len(targets), recipe.accumulate)
            if rest:
                raise ValueError(
                    f"Trainer: the batch size must be a multiple of accumulate, {recipe.accumulate}, got {len(targets)}"
                )
            for start in range(0, size * recipe.accumulate, size):
                x, y = inputs[start : start + size], targets[start : start + size]
                with labels.trusting():
                    if self.transform is not None:
                        x, y = self.transform(x, y)
                    if image_size is not None:
                        x = to_size(x, image_size, crop=recipe.shrink == "crop")
                    with lucid.autocast(dtype=amp_dtype, enabled=amp_dtype is not None):
                        outputs, added = (model(x), None) if distillation is None else distillation(model, x, self.task)
                        main = outputs[0] if isinstance(outputs, tuple) else outputs
                        labels.check(main)
                        loss = loss_function(outputs, y)
                        if distillation is not None and added is not None:
                            loss = distillation.combine(loss, added)
                    scaler.scale(loss / recipe.accumulate).backward()
                self.mean_loss.update(loss.detach(), size)
                for metric in (self.accuracy, *self.metrics.values()):
                    if metric is not None:
                        metric.update(main.detach(), y)
            dist.average_gradients(parameters)
            scaler.unscale_(optimizer)
            if recipe.clip_norm:
                nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
            scaler.step(optimizer)
            scaler.update()
            if ema is not None:
                ema.update()

        if not self.is_compiled:
            return step
        state = [model, optimizer, scaler, *self.running_metrics().values(), *([] if ema is None else [ema])]
        state += [] if distillation is None else [distillation.teacher]
        return lucid.compile(step, state=state)

    def _row(self, trained: dict[str, float], test_seconds: float) -> dict[str, Any]:
        """The epoch's row of the history."""
        clock, evaluation = self.clock, self.evaluation
        tested = {} if evaluation is None else {"loss": evaluation.loss, **evaluation.metrics}
        row = {
            "lr": self.recipe.lr * self.lr_factor(len(self.history) * len(self.train_loader)),
            **{f"train_{name}": value for name, value in trained.items()},
            **{f"{self.split}_{name}": value for name, value in tested.items()},
            f"{self.unit}_per_second": clock.seen / clock.seconds,
            "waiting": clock.waiting / clock.seconds,  # share of the training time
            "seconds": clock.seconds + test_seconds,
        }
        return {"epoch": self.epoch, **{name: float(f"{value:.6g}") for name, value in row.items()}}

    # Evaluation ------------------------------------------------------------------------------------------------------

    @lucid.no_grad()
    def evaluate(self) -> Evaluation:
        """Evaluate on the test data, with the averaged weights if there are any. All processes get the result.

        Raises:
            ValueError: The trainer has no test data.
        """
        if self.test_loader is None:
            raise ValueError("Trainer.evaluate: the trainer has no test data; pass test=")
        self.model.eval()
        mean_loss, confusion, rows = MeanMetric(), ConfusionMatrix(len(self.classes) or 1), [np.empty((0, 4))]
        loss_function, seen = self.loss_function or F.cross_entropy, []
        metrics = {**self.metrics, **self._evaluation_metrics()}
        with preserved(self.metrics), contextlib.nullcontext() if self.ema is None else self.ema.applied():
            for inputs, targets in self.test_loader:
                targets = self.as_targets("test", targets)
                outputs = self._outputs(as_tensor(inputs))
                self.labels.check(outputs)
                mean_loss.update(loss_function(outputs, targets), len(targets))
                for metric in metrics.values():
                    metric.update(outputs, targets)
                if self.task is not None:
                    seen.append((outputs.float().numpy(), targets.numpy()))
                if self.is_classifier:
                    if not self.classes:
                        self.classes = list(map(str, range(outputs.shape[1])))
                        confusion = ConfusionMatrix(len(self.classes))
                    confusion.update(outputs, targets)
                    rows.append(predictions(outputs, targets))
            dist.reduce_metrics(mean_loss, confusion, *metrics.values())
            values = metric_values(metrics)
        evaluation = Evaluation(mean_loss.compute().item(), values)
        if self.task is not None:
            results, evaluation.sections = evaluated(self.task, seen, self.split)
            evaluation.metrics = {**results, **values}
        if self.is_classifier:
            evaluation.confusion = confusion.compute().numpy()
            evaluation.metrics = {"accuracy": evaluation.accuracy, **values}
            evaluation.mistakes = most_confident_mistakes(np.concatenate(rows))  # may be fewer than processes
        return evaluation

    def _outputs(self, inputs: lucid.Tensor) -> lucid.Tensor:
        x = inputs if self.test_transform is None else self.test_transform(inputs)
        return self.averaged(x)

    def _evaluation_metrics(self) -> dict[str, Metric]:
        return {}  # new ones that are not measured in training, by name
