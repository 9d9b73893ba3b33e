"""Files of masked autoencoders, in the layouts of the authors, load into ``FCMAE`` and into classifiers."""

import warnings

import numpy as np
import pytest

import lucid
from lucid import models
from lucid.models import MismatchError
from tests.models import sparse_reference as reference

DEPTHS, DIMS = (1, 1, 2, 1), (4, 6, 8, 10)
RNG = np.random.default_rng(5)


def made(decoder_dim=7, **options):
    return models.FCMAE(models.ConvNeXtV2(0, DEPTHS, DIMS), decoder_dim=decoder_dim, **options)


def random_values(model):
    found = {name: RNG.normal(0, 0.3, tensor.shape) for name, tensor in model.state_dict().items()}
    return {name: value.astype(np.float32) for name, value in found.items()}


def sparse_kernel(weight):
    """A kernel of MinkowskiEngine from a weight (out, in, h, w): (h * w, in, out), depthwise (h * w, channels).

    MinkowskiEngine counts the places of a kernel with the first coordinate, the row, changing fastest. The authors'
    ``remap_checkpoint_keys`` (github.com/facebookresearch/ConvNeXt-V2, utils.py) therefore transposes what it reshapes.
    """
    height, width = weight.shape[2:]
    places = [(row, column) for column in range(width) for row in range(height)]
    if height == 7:
        return np.stack([weight[:, 0, row, column] for row, column in places])
    return np.stack([weight[:, :, row, column].T for row, column in places])


def sparse_file(values):
    """The names and shapes of the authors' ``SparseConvNeXtV2`` in an ``FCMAE``, whose decoder is dense."""
    found = {}
    for name, value in values.items():
        parts = name.split(".")
        if parts[0] != "encoder" or parts[1:3] == ["downsample_layers", "0"]:
            found[name] = value
        elif value.ndim == 4 and "grn" not in parts:
            found[name.replace(".weight", ".kernel")] = sparse_kernel(value)
        elif "grn" in parts:
            found[name] = value.reshape(1, -1)
        elif "dwconv" in parts or (parts[1] == "downsample_layers" and parts[3] == "1"):
            found[name] = value.reshape(1, -1)  # biases
        else:
            inner = "linear" if "pwconv" in name else "ln"
            found[".".join([*parts[:-1], inner, parts[-1]])] = value
    return found


def test_the_layout_is_that_of_the_authors():
    found = sparse_file(random_values(made()))
    assert found["encoder.stages.0.0.dwconv.kernel"].shape == (49, 4)
    assert found["encoder.stages.0.0.dwconv.bias"].shape == (1, 4)
    assert found["encoder.stages.2.1.pwconv1.linear.weight"].shape == (32, 8)
    assert found["encoder.stages.2.1.norm.ln.bias"].shape == (8,)
    assert found["encoder.stages.1.0.grn.gamma"].shape == (1, 24)
    assert found["encoder.downsample_layers.1.0.ln.weight"].shape == (4,)
    assert found["encoder.downsample_layers.1.1.kernel"].shape == (4, 4, 6)
    assert found["encoder.downsample_layers.0.0.weight"].shape == (4, 3, 4, 4)
    assert found["decoder.0.grn.gamma"].shape == (1, 1, 1, 28) and found["pred.weight"].shape == (3072, 7, 1, 1)


@pytest.mark.parametrize("dialect", ["sparse", "dense", "encoder only", "wrapped"])
def test_it_loads_into_the_autoencoder(dialect, tmp_path):
    model, values = made(), None
    values = random_values(model)
    tree = sparse_file(values) if dialect != "dense" else values
    if dialect == "encoder only":
        tree = {name: value for name, value in tree.items() if name.startswith("encoder.")}
    if dialect == "wrapped":
        tree = {f"module.{name}": value for name, value in tree.items()}
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    path = tmp_path / "fcmae.pt"
    lucid.save({"model": {name: lucid.tensor(value) for name, value in tree.items()}, "epoch": 3}, path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = models.load_checkpoint(model, path)
    for name, tensor in model.state_dict().items():
        kept = dialect == "encoder only" and not name.startswith("encoder.")
        np.testing.assert_array_equal(tensor.numpy(), before[name] if kept else values[name], err_msg=name)
    assert report.dialect == ("official" if dialect == "dense" else "fcmae") and report.wrapper == ("model",)
    assert report.loaded == len(tree) and not report.skipped
    kept = "the checkpoint has no decoder; the model keeps its own mask_token"
    assert [kept in str(one.message) for one in caught] == ([True] if dialect == "encoder only" else [])


@pytest.mark.parametrize("layout", ["sparse", "dense", "dense without prefix"])
def test_it_loads_into_classifiers(layout):
    values = random_values(made())
    tree = sparse_file(values) if layout == "sparse" else values
    if layout == "dense without prefix":
        tree = {name.removeprefix("encoder."): value for name, value in tree.items()}
    model = models.ConvNeXtV2(3, DEPTHS, DIMS)
    with pytest.warns(UserWarning, match="no final norm and classifier; the model keeps its own norm.weight, "):
        report = models.load_checkpoint(model, tree)
    for name, tensor in model.state_dict().items():
        if not name.startswith(("norm.", "head.")):
            np.testing.assert_array_equal(tensor.numpy(), values[f"encoder.{name}"], err_msg=name)
    assert set(report.kept) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert {"proj.weight", "mask_token", "decoder.0.dwconv.weight"} <= set(report.skipped)


def test_a_sparse_convolution_with_the_kernel_of_the_file_gives_the_same():
    """In the way of MinkowskiEngine: place k of the kernel is row k % 7 and column k // 7."""
    model = made()
    values = random_values(model)
    kernel = sparse_file(values)["encoder.stages.0.0.dwconv.kernel"].astype(float)
    x = {(row, column): RNG.normal(size=4) for row in range(9) for column in range(8) if RNG.uniform() < 0.4}
    found = {}
    for row, column in x:
        places = [(row + k % 7 - 3, column + k // 7 - 3) for k in range(49)]
        found[row, column] = sum(kernel[k] * x[at] for k, at in enumerate(places) if at in x)
    models.load_checkpoint(model, sparse_file(values))
    weight = model.encoder.stages[0][0].dwconv.weight.detach().numpy().astype(float)
    expected = reference.convolve(x, weight, np.zeros(4), padding=3, depthwise=True)
    for at, value in found.items():
        np.testing.assert_allclose(expected[at], value, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("dim", "depth"), [(9, 1), (7, 2), (7, 0)])
def test_a_decoder_of_another_size_is_described(dim, depth):
    model, file = made(7), sparse_file(random_values(made(dim, decoder_depth=depth)))
    before = model.mask_token.tolist()
    message = (
        f"has a decoder with {depth} blocks? of {dim} channels, the model one with 1 block of 7 channels. "
        f"Nothing was loaded; decoder_dim={dim} and decoder_depth={depth} fit"
    )
    with pytest.raises(MismatchError, match=message):
        models.load_checkpoint(model, file)
    assert model.mask_token.tolist() == before
    if depth == 2:  # the first of its blocks fits
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            models.load_checkpoint(model, file, strict=False)
        assert model.mask_token.tolist() == file["mask_token"].tolist() != before


def test_a_classifier_loads_into_the_autoencoder():
    source, model = models.ConvNeXtV2(3, DEPTHS, DIMS), made()
    with pytest.warns(UserWarning, match="the checkpoint has no decoder"):
        report = models.load_checkpoint(model, source.state_dict())
    weight = model.encoder.stages[3][0].pwconv1.weight
    assert weight.tolist() == source.stages[3][0].pwconv1.weight.tolist()
    assert set(report.skipped) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("model", "change", "message"),
    [
        (lambda: made(9), {}, "with 1 block of 7 channels, the model one with 1 block of 9 channels"),
        (lambda: made(decoder_depth=2), {}, "with 1 block of 7 channels, the model one with 2 blocks of 7 channels"),
        (made, {"pred.bias": None}, r"missing: pred\.bias"),
        (made, {"encoder.stages.0.0.dwconv.kernel": np.zeros((48, 4), np.float32)}, r"dwconv\.kernel has shape"),
        (lambda: models.FCMAE(models.ConvNeXtV2(0, DEPTHS[:3], DIMS[:3])), {}, "Nothing was loaded"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_changes(model, change, message):
    tree, model = {**sparse_file(random_values(made())), **change}, model()
    tree = {name: value for name, value in tree.items() if value is not None}
    before = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    with pytest.raises(MismatchError, match=message):
        models.load_checkpoint(model, tree)
    assert {name: tensor.tolist() for name, tensor in model.state_dict().items()} == before


def test_only_the_encoder_can_be_saved_in_other_dialects(tmp_path):
    model = made()
    with pytest.raises(TypeError, match="its 'encoder' is one"):
        models.save_checkpoint(model, tmp_path / "model.safetensors")
    models.save_checkpoint(model.encoder, tmp_path / "model.safetensors", "timm")
    with pytest.warns(UserWarning, match="no final norm"):
        found = models.from_checkpoint(tmp_path / "model.safetensors")
    assert type(found) is models.ConvNeXtV2 and found.dims == DIMS
