"""Recipes: values are checked, and survive JSON."""

import json
from dataclasses import dataclass

import pytest

from lucid.training import Recipe, SettingError, setting
from lucid.training.recipe import ordered_fields, rename_settings


@dataclass(frozen=True, kw_only=True)
class Own(Recipe):
    sizes: tuple[int, ...] = setting((1, 2), "some sizes")
    color: str = setting("red", "a color", choices=("red", "blue"))


@dataclass(frozen=True, kw_only=True)
class Fewer(Own):
    absent = frozenset({"mixup", "label_smoothing", "balance", "image_sizes", "shrink"})


def test_absent_settings_are_not_listed_but_read():
    names = [one.name for one in ordered_fields(Own) if one.name not in Fewer.absent]
    assert [one.name for one in ordered_fields(Fewer)] == list(Fewer().settings()) == names
    whole = Own(epochs=3, label_smoothing=0.0).to_json()  # as written before these settings were absent
    assert Fewer.from_json(whole).to_json() == Fewer(epochs=3).to_json()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mixup": 0.5}, "mixup has no effect here and must be 0.0, got 0.5"),
        ({"balance": "weights"}, "balance has no effect here and must be 'none', got 'weights'"),
        ({"image_sizes": [8]}, r"image_sizes has no effect here and must be \(\), got \(8,\)"),
        ({"shrink": "crop"}, "shrink has no effect here and must be 'resize', got 'crop'"),
        ({"mixup": "0"}, "mixup must be of type float"),
    ],
)
def test_absent_settings_keep_their_default(values, message):
    with pytest.raises(SettingError, match=message):
        Fewer(**values)


def test_fields_of_a_subclass_come_first():
    assert [one.name for one in ordered_fields(Own)][:3] == ["sizes", "color", "epochs"]
    assert list(json.loads(Own().to_json()))[:3] == ["sizes", "color", "epochs"]


def test_json_is_read_back():
    one = Own(sizes=(5,), lr=3.0, augment="trivial", flip=False)
    assert Own.from_json(one.to_json()) == one
    assert Own.from_json('{"epochs": 7}') == Own(epochs=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON: "),
        ("[1]", "expected a JSON object, got list"),
        ('{"epoch": 3, "lr": 1.0}', "unknown setting epoch"),
        ('{"epochs": 0}', "epochs must be at least 1, got 0"),
    ],
)
def test_wrong_json_is_explained(text, message):
    with pytest.raises(SettingError) as caught:
        Own.from_json(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"epochs": True}, TypeError, "epochs must be of type int, got True"),
        ({"epochs": "3"}, TypeError, "epochs must be of type int, got '3'"),
        ({"flip": 1}, TypeError, "flip must be of type bool, got 1"),
        ({"lr": float("nan")}, ValueError, "lr must be finite, got nan"),
        ({"erasing": 1.1}, ValueError, "erasing must be at least 0 and at most 1, got 1.1"),
        ({"drop_path": 1}, ValueError, "drop_path must be at least 0 and below 1, got 1.0"),
        ({"color": "green"}, ValueError, "color must be one of red, blue, got green"),
        ({"sizes": [1, 2.5]}, TypeError, "sizes must be a list of int, got [1, 2.5]"),
        ({"sizes": 3}, TypeError, "sizes must be a list of int, got 3"),
        ({"batch_size": 10, "accumulate": 3}, ValueError, "batch_size must be a multiple of accumulate, 3, got 10"),
        ({"lr": 1e-3, "min_lr": 1e-2}, ValueError, "min_lr must be at most lr, 0.001, got 0.01"),
        ({"image_sizes": (16, 0)}, ValueError, "image_sizes must be at least 1, got 0"),
        ({"test_flip": True, "tta": "shift"}, ValueError, "test_flip is tta=flip, but tta is shift"),
        ({"layer_decay": 0.0}, ValueError, "layer_decay must be above 0 and at most 1, got 0"),
    ],
)
def test_wrong_values_are_named(values, error, message):
    with pytest.raises(error) as caught:
        Own(**values)
    assert str(caught.value) == message and isinstance(caught.value, SettingError)
    assert set(values) >= set(caught.value.names) or caught.value.names == ("batch_size", "accumulate")


def test_errors_take_other_names_for_settings():
    def rename(name):
        return f"<{name}>"

    error = SettingError("lr must be at most min_lr, lr, got lr", "lr")
    assert rename_settings(error, rename) == "<lr> must be at most min_lr, lr, got lr"
    assert rename_settings(ValueError("lr is wrong"), rename) == "lr is wrong"
    with pytest.raises(SettingError) as caught:
        Own(lr=1e-3, min_lr=1e-2)
    assert rename_settings(caught.value, rename) == "<min_lr> must be at most <lr>, 0.001, got 0.01"
