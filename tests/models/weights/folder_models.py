"""The models of ``tests/reference/folder_cases.py`` in Lucid, and other libraries that open their folders."""

import numpy as np

import lucid
from lucid import models
from lucid.models import ImageTransform
from tests.reference.folder_cases import CASES, images, photo, value


def built(name):
    """The model of a case with its classes and preprocessing, in evaluation mode."""
    case = CASES[name]
    model = getattr(models, case.family)(case.classes, **case.arguments)
    state = model.state_dict()
    model.load_state_dict({key: lucid.tensor(value(name, key, tuple(one.shape))) for key, one in state.items()})
    model.class_names = None if case.names is None else list(case.names)
    model.preprocessing = None if case.transform is None else ImageTransform(**case.transform)
    return model.eval()


def saved(name, folder, **options):
    """The case as a folder, and its model."""
    model = built(name)
    models.save_pretrained(model, folder, dialect=CASES[name].dialect, **options)
    return model


def logits(model, name):
    with lucid.no_grad():
        return model(lucid.tensor(images(name))).numpy()


def relative_error(got, wanted):
    assert got.shape == wanted.shape
    return np.abs(got - wanted).max() / np.abs(wanted).max()


def opened_by_timm(folder, name):
    """timm's model of a folder, its logits, and ``photo`` as it prepares it."""
    import timm
    import torch
    from PIL import Image

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.no_grad():
        outputs = model(torch.tensor(images(name))).numpy()
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    pixels = transform(Image.fromarray(photo())).numpy() if config["input_size"][0] == 3 else None
    return model, outputs, pixels


def opened_by_transformers(folder, name):
    """The same for transformers, with its image processor instead of the pixels if there is none."""
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification

    kind = AutoModelForImageClassification if CASES[name].classes else AutoModel
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    with torch.no_grad():
        found = model.eval()(torch.tensor(images(name)))
    outputs = (found.logits if CASES[name].classes else found.pooler_output).numpy()
    if CASES[name].transform is None:
        return model, outputs, None, None
    processor = AutoImageProcessor.from_pretrained(folder)
    pixels = processor(Image.fromarray(photo()), return_tensors="pt")["pixel_values"][0].numpy()
    return model, outputs, pixels, processor
