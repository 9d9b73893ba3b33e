"""Distillation: its formulas, and a model that learns from a perfect teacher what wrong labels hide."""

import copy

import numpy as np
import pytest

import lucid
from lucid import data, models, nn, training
from lucid.training.distillation import similarity_distance, soft_cross_entropy


def log_softmax(x):
    x = x - x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_outputs_are_compared_by_divergence(temperature):
    rng = np.random.default_rng(0)
    own, taught = rng.normal(scale=3, size=(2, 7, 5))
    a, b = log_softmax(own / temperature), log_softmax(taught / temperature)
    want = (np.exp(b) * (b - a)).sum(1).mean() * temperature**2
    x = lucid.tensor(own.astype(np.float32), requires_grad=True)
    loss = soft_cross_entropy(x, lucid.tensor(taught.astype(np.float32)), temperature)
    assert loss.item() == pytest.approx(want, rel=1e-5)
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), temperature * (np.exp(a) - np.exp(b)) / 7, atol=1e-6)
    assert soft_cross_entropy(x, x.detach() + 3, temperature).item() == pytest.approx(0, abs=1e-6)


def test_features_are_compared_by_what_is_similar():
    rng = np.random.default_rng(1)
    own, taught = rng.normal(size=(6, 4)), rng.normal(size=(6, 9))

    def rows(x):
        products = x @ x.T
        return products / np.linalg.norm(products, axis=1, keepdims=True)

    want = ((rows(own) - rows(taught)) ** 2).sum(1).mean()
    found = similarity_distance(lucid.tensor(own.astype(np.float32)), lucid.tensor(taught.astype(np.float32)))
    assert found.item() == pytest.approx(want, rel=1e-5)
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    turned = lucid.tensor((own @ turn * 3).astype(np.float32))
    assert similarity_distance(turned, lucid.tensor(own.astype(np.float32))).item() == pytest.approx(0, abs=1e-6)


class Oracle(nn.Module):
    """Knows the class of every training image."""

    def __init__(self, images, labels):
        super().__init__()
        rows = images.reshape(len(images), -1).astype(np.float32)
        self.register_buffer("rows", lucid.tensor(rows))
        self.register_buffer("squares", lucid.tensor((rows**2).sum(1)))
        self.register_buffer("logits", lucid.tensor(8 * np.eye(10, dtype=np.float32)[labels]))

    def forward(self, x):
        nearest = (2 * x.flatten(1) @ self.rows.T - self.squares).argmax(dim=1)
        return self.logits[nearest]


def test_a_perfect_teacher_is_reached():
    """All labels are wrong, the teacher knows the right ones: the digits are learned from it alone."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    train, test = (data.Digits(train=one) for one in (True, False))
    x, x_test = ((one.data.astype(np.float32) / 16 - 0.3) / 0.4 for one in (train, test))
    wrong = (train.targets + np.random.default_rng(0).integers(1, 10, len(train))) % 10
    teacher = Oracle(x, train.targets)
    lucid.manual_seed(0)
    student = nn.Sequential(nn.Flatten(), nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 10))
    recipe = training.Recipe(epochs=15, batch_size=64, lr=1e-2, warmup_epochs=1, label_smoothing=0.0)
    one = training.Trainer(
        student, recipe, train=(x, wrong), test=(x_test, test.targets),
        distillation=training.Distillation(teacher, weight=1.0, temperature=2.0),
    )  # fmt: skip
    one.fit(progress=False)
    with lucid.no_grad():
        learned = student(lucid.tensor(x)).argmax(dim=1).numpy()
        taught = teacher(lucid.tensor(x)).argmax(dim=1).numpy()
        right = (teacher(lucid.tensor(x_test)).argmax(dim=1).numpy() == test.targets).mean()
    assert (taught == train.targets).all() and (learned == taught).mean() > 0.995
    assert one.evaluate().accuracy > 0.955 and right > 0.97
    assert one.history[-1]["train_loss"] < 0.05 * one.history[0]["train_loss"]


def images(count=8):
    return lucid.tensor(np.random.default_rng(2).normal(size=(count, 3, 8, 8)).astype(np.float32))


def network(width=8, classes=3, seed=0):
    lucid.manual_seed(seed)
    return models.ConvNeXt(classes, (1, 1), (4, width), patch_size=2)


def test_the_parts_of_the_loss():
    model, teacher = network().eval(), network(16, seed=1)
    x = images()
    for options in ({"weight": 0.25}, {"weight": 0.0, "features": 2.0}, {"weight": 0.5, "features": 1.0}):
        distillation = training.Distillation(teacher, temperature=3.0, **options)
        outputs, added = distillation(model, x)
        features = [one.forward_head(one.forward_features(x), pre_logits=True) for one in (model, teacher)]
        want = options["weight"] * soft_cross_entropy(model(x), teacher(x), 3.0).item()
        want += options.get("features", 0.0) * similarity_distance(*features).item()
        assert added.item() == pytest.approx(want, rel=1e-4)
        np.testing.assert_allclose(outputs.detach().numpy(), model(x).detach().numpy(), atol=1e-6)
        total = distillation.combine(lucid.tensor(2.0), added).item()
        assert total == pytest.approx((1 - options["weight"]) * 2 + want, rel=1e-5)
        added.backward()
        assert all(p.grad is None for p in teacher.parameters()) and not teacher.training
        assert any(p.grad is not None for p in model.parameters())


def test_a_teacher_with_other_classes_and_inputs():
    model, teacher, x = network().eval(), network(classes=5, seed=1).eval(), images()
    distillation = training.Distillation(teacher, weight=1.0, columns=[4, 0, 2], prepare=lambda x: x.flip(-1))
    _, added = distillation(model, x)
    want = soft_cross_entropy(model(x), teacher(x.flip(-1)).index_select(1, lucid.tensor([4, 0, 2])), 2.0)
    assert added.item() == pytest.approx(want.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weight": 1.5}, ValueError, r"weight must be in \[0, 1\], got 1.5"),
        ({"temperature": 0}, ValueError, "temperature must be above 0"),
        ({"temperature": float("inf")}, ValueError, "temperature must be finite, got inf"),
        ({"features": float("inf")}, ValueError, "features must be finite, got inf"),
        (
            {"teacher": "runs/large"},
            TypeError,
            "must be a module, got 'runs/large'; lucid.models.from_checkpoint opens",
        ),
        ({"columns": [0, 1.5]}, TypeError, "columns must be an integer, got 1.5"),
        ({"columns": [0, -1]}, ValueError, "columns must be at least 0, got -1"),
        ({"features": -1.0}, ValueError, "features must be at least 0"),
        ({"teacher": nn.Linear(2, 3), "features": 1.0}, TypeError, "need a teacher with forward_features, got Linear"),
    ],
)
def test_wrong_options_are_explained(options, error, message):
    with pytest.raises(error, match=message):
        training.Distillation(**{"teacher": network(), **options})


def test_unequal_outputs_are_explained():
    with pytest.raises(ValueError, match=r"must have the shape \(8, 3\) of the model's, got \(8, 5\)"):
        training.Distillation(network(classes=5))(network(), images())


@pytest.mark.parametrize("part", [False, True])
def test_a_model_cannot_teach_itself(part):
    model = nn.Linear(4, 3)
    with pytest.raises(ValueError, match="the teacher must share no module with the model; pass a copy.deepcopy"):
        training.Distillation(model)(nn.Sequential(model) if part else model, lucid.zeros(2, 4))
    _, added = training.Distillation(copy.deepcopy(model))(model, lucid.rand(2, 4))
    assert added.item() == pytest.approx(0, abs=1e-6)


class WithAuxiliaryHead(nn.Linear):
    def forward(self, x):
        return (super().forward(x), super().forward(2 * x)) if self.training else super().forward(x)


def test_the_first_of_several_outputs_is_compared():
    lucid.manual_seed(0)
    model, teacher, x = WithAuxiliaryHead(4, 3), nn.Linear(4, 3), lucid.rand(5, 4)
    outputs, added = training.Distillation(teacher, weight=1.0)(model, x)
    want = soft_cross_entropy(outputs[0], teacher(x), 2.0).item()
    assert len(outputs) == 2 and added.item() == pytest.approx(want, rel=1e-6)


# Other tasks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_labels_are_compared_one_by_one(temperature):
    """The divergence of the two-class softmax of each label, in float64."""
    rng = np.random.default_rng(3)
    own, taught = rng.normal(scale=4, size=(2, 7, 5))
    a, b = (log_softmax(np.stack([one.ravel(), 0 * one.ravel()], axis=1) / temperature) for one in (own, taught))
    want = (np.exp(b) * (b - a)).sum(1).mean() * temperature**2
    x = lucid.tensor(own.astype(np.float32), requires_grad=True)
    task = training.MultiLabel(["first", "second", "third", "fourth", "fifth"])
    loss = task.distance(x, lucid.tensor(taught.astype(np.float32)), temperature)
    assert loss.item() == pytest.approx(want, rel=1e-5)
    loss.backward()
    sigmoids = [1 / (1 + np.exp(-one / temperature)) for one in (own, taught)]
    np.testing.assert_allclose(x.grad.numpy(), temperature * (sigmoids[0] - sigmoids[1]) / 35, atol=1e-6)
    extreme = lucid.tensor([[-500.0, 500.0, 0.0, 80.0, -80.0]])
    assert task.distance(extreme, extreme, temperature).item() == 0
    assert np.isfinite(task.distance(-extreme, extreme, temperature).item())


def test_numbers_are_compared_by_the_loss_of_the_task():
    outputs, taught = lucid.tensor([[0.0], [4.0]]), lucid.tensor([[1.0], [1.0]])
    assert training.Regression().distance(outputs, taught, 3.0).item() == pytest.approx((1 + 9) / 2)
    assert training.Regression("huber").distance(outputs, taught, 3.0).item() == pytest.approx((0.5 + 2.5) / 2)
    with pytest.raises(ValueError, match=r"at least two classes, got \(2, 1\); of numbers, pass task=Regression"):
        training.Distillation(nn.Linear(4, 1))(nn.Linear(4, 1), lucid.zeros(2, 4))


@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_a_perfect_teacher_of_another_task_is_reached(kind):
    """All targets are wrong: what is right comes from the teacher alone."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    lucid.manual_seed(0)
    teacher, student = nn.Linear(6, 3), nn.Linear(6, 3)
    with lucid.no_grad():
        outputs = teacher(lucid.tensor(x)).numpy()
    if kind == "labels":
        task, right, wrong = training.MultiLabel(["a", "b", "c"]), outputs > 0, outputs < 0
    else:
        task, right, wrong = training.Regression(), outputs, -outputs
    recipe = training.Recipe(epochs=30, batch_size=40, lr=0.05, warmup_epochs=1, weight_decay=0.0)
    one = training.Trainer(
        student, recipe, train=(x, wrong), test=(x, right), task=task,
        distillation=training.Distillation(teacher, weight=1.0),
    )  # fmt: skip
    one.fit(progress=False)
    found = one.evaluate().metrics
    assert found["f1" if kind == "labels" else "r_squared"] > 0.98
    np.testing.assert_allclose(student.weight.detach().numpy(), teacher.weight.detach().numpy(), atol=0.02)


def test_maps_of_classes_are_compared_at_each_position():
    own, taught = np.random.default_rng(5).normal(size=(2, 2, 3, 4, 5)).astype(np.float32)
    flat = [lucid.tensor(one.transpose(0, 2, 3, 1).reshape(-1, 3)) for one in (own, taught)]
    found = soft_cross_entropy(lucid.tensor(own), lucid.tensor(taught), 2.0).item()
    assert found == pytest.approx(soft_cross_entropy(*flat, 2.0).item(), rel=1e-5)


class Small(nn.Module):
    """The least that has features and a head: a compiled ConvNeXt takes long to build on a CPU."""

    def __init__(self, width, seed):
        super().__init__()
        lucid.manual_seed(seed)
        self.body, self.head = nn.Linear(6, width), nn.Linear(width, 3)

    def forward_features(self, x):
        return self.body(x).relu()

    def forward_head(self, features, pre_logits=False):
        return features if pre_logits else self.head(features)

    def forward(self, x):
        return self.forward_head(self.forward_features(x))


def test_compiled_steps_agree():
    x, y = np.random.default_rng(2).normal(size=(16, 6)).astype(np.float32), np.arange(16) % 3
    losses, weights = [], []
    for compile in (False, True):
        recipe = training.Recipe(epochs=2, batch_size=8, lr=1e-2, warmup_epochs=0)
        teacher = Small(9, seed=1)
        distillation = training.Distillation(teacher, weight=0.5, features=1.0)
        one = training.Trainer(Small(5, seed=0), recipe, train=(x, y), distillation=distillation, compile=compile)
        one.fit(progress=False)
        losses.append([row["train_loss"] for row in one.history])
        weights.append(one.model.body.weight.detach().numpy())
        np.testing.assert_array_equal(
            teacher.body.weight.detach().numpy(), Small(9, seed=1).body.weight.detach().numpy()
        )
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-3, atol=1e-5)
    assert losses[0][1] < losses[0][0]
