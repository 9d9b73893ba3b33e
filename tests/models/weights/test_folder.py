"""Folders of timm and transformers: what others wrote opens with classes, preprocessing and size, or says why not."""

import json
import shutil

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import models
from lucid.models import ImageTransform
from tests.models.weights.folder_models import built, logits, relative_error, saved
from tests.reference.folder_cases import CASES, CONFIGS, FILE

RECORDED, WRITTEN = np.load(FILE), json.loads(CONFIGS.read_text(encoding="utf-8"))


def of_another_library(name, folder):
    """The folder that timm or transformers wrote after it had opened Lucid's."""
    folder.mkdir()
    for path, content in WRITTEN[name].items():
        whose, _, file = path.partition("/")
        if whose == "theirs":
            (folder / file).write_text(json.dumps(content))
    models.save_checkpoint(built(name), folder / "plain.safetensors", CASES[name].dialect)
    arrays = mx.load(str(folder / "plain.safetensors"))
    mx.save_safetensors(str(folder / "model.safetensors"), arrays, {"format": "pt"})
    (folder / "plain.safetensors").unlink()
    return folder


@pytest.mark.parametrize("name", CASES)
def test_folders_of_other_libraries_open(name, tmp_path):
    case, folder = CASES[name], of_another_library(name, tmp_path / "theirs")
    model = models.from_checkpoint(folder)
    assert type(model).__name__ == case.family and not model.training
    assert relative_error(logits(model, name), RECORDED[f"{name}/logits"]) < 1e-5
    numbered = [f"class {number}" for number in range(case.classes)]
    assert model.class_names == (numbered if case.names is None else list(case.names))
    if case.transform is not None:
        assert model.preprocessing == ImageTransform(**case.transform, round_crop=case.dialect == "timm")
    assert model.checkpoint_name == "theirs"


@pytest.mark.parametrize("name", ["timm, small", "huggingface, V2"])
def test_create_model_opens_a_folder(name, tmp_path):
    folder = of_another_library(name, tmp_path / "theirs")
    for place in (f"local-dir:{folder}", str(folder), folder):
        model = models.create_model(place)
        assert model.training and model.pretrained_tag is None
        assert relative_error(logits(model.eval(), name), RECORDED[f"{name}/logits"]) < 1e-5
        assert model.preprocessing.image_size == 64
        assert models.transforms_for(model) == model.preprocessing
        assert models.transforms_for(model, image_size=128).image_size == 128
    new = models.create_model(folder, pretrained=False, drop_path_rate=0.5)
    assert new.stages[3][0].drop_path.drop_prob == 0.5
    assert relative_error(logits(new.eval(), name), RECORDED[f"{name}/logits"]) > 0.1
    maps = models.create_model(folder, features_only=True)(lucid.zeros(1, 3, 64, 64))
    assert [one.shape[1] for one in maps] == [8, 10, 12, 16]
    with pytest.warns(UserWarning, match="the checkpoint's classifier has 3 classes, not 5"):
        other = models.create_model(folder, num_classes=5)
    assert other.num_classes == 5 and other.class_names is None


def test_a_folder_of_the_name_of_a_model_does_not_hide_it(tmp_path, monkeypatch):
    saved("timm, small", tmp_path / "convnext_atto")
    monkeypatch.chdir(tmp_path)
    assert models.create_model("convnext_atto").num_classes == 1000
    assert models.create_model("local-dir:convnext_atto").num_classes == 3


def test_load_checkpoint_takes_a_location(tmp_path):
    model = saved("huggingface, small", tmp_path / "model")
    other = models.ConvNeXt(3, **CASES["huggingface, small"].arguments)
    assert models.load_checkpoint(other, f"local-dir:{tmp_path / 'model'}").dialect == "huggingface"
    assert np.array_equal(logits(other.eval(), "huggingface, small"), logits(model, "huggingface, small"))


def test_the_first_form_of_timms_configuration(tmp_path):
    saved("timm, small", tmp_path / "old")
    path = tmp_path / "old/config.json"
    config = json.loads(path.read_text())
    described = config["pretrained_cfg"]
    path.write_text(json.dumps(
        {**described, "architecture": config["architecture"], "labels": config["label_names"],
         "model_args": config["model_args"]}
    ))  # fmt: skip
    model = models.from_checkpoint(tmp_path / "old")
    assert model.class_names == list(CASES["timm, small"].names)
    assert relative_error(logits(model, "timm, small"), RECORDED["timm, small/logits"]) < 1e-5


def test_the_first_form_of_transformers_preprocessing(tmp_path):
    """As in facebook/convnext-tiny-224."""
    saved("huggingface, small", tmp_path / "old")
    content = {
        "crop_pct": 0.875, "do_normalize": True, "do_resize": True, "image_mean": [0.485, 0.456, 0.406], "size": 224,
        "feature_extractor_type": "ConvNextFeatureExtractor", "image_std": [0.229, 0.224, 0.225], "resample": 3,
    }  # fmt: skip
    (tmp_path / "old/preprocessor_config.json").write_text(json.dumps(content))
    assert models.from_checkpoint(tmp_path / "old").preprocessing == ImageTransform(224, 256, round_crop=False)
    assert models.from_checkpoint(tmp_path / "old", image_size=112).preprocessing.resize_size == 128


def test_a_folder_without_a_known_configuration_opens_by_its_weights(tmp_path):
    model = saved("timm, small", tmp_path / "model")
    config = tmp_path / "model/config.json"
    for content in ('{"model_type": "upernet"}', '{"epochs": 3}'):
        config.write_text(content)
        found = models.from_checkpoint(tmp_path / "model")
        assert np.array_equal(logits(found, "timm, small"), logits(model, "timm, small"))
        with pytest.raises(ValueError, match=r"model has no config.json of a ConvNeXt of timm or transformers"):
            models.create_model(tmp_path / "model")


# Shards --------------------------------------------------------------------------------------------------------------


def test_shards_open(tmp_path):
    model = saved("huggingface, small", tmp_path / "model", max_shard_size=8000)
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 3
    found = models.from_checkpoint(tmp_path / "model")
    assert np.array_equal(logits(found, "huggingface, small"), logits(model, "huggingface, small"))
    assert found.class_names == model.class_names and found.preprocessing == model.preprocessing


@pytest.mark.usefixtures("settled")
def test_shards_load_with_little_more_memory_than_they_take(tmp_path):
    model = models.ConvNeXtV2(10, (1, 1, 3, 1), (64, 128, 256, 512))
    models.save_pretrained(model, tmp_path / "big", dialect="huggingface", max_shard_size="4MB")
    files = sorted((tmp_path / "big").glob("model-*.safetensors"))
    size = sum(path.stat().st_size for path in files)
    del model
    assert len(files) >= 4 and size > 15e6
    mx.synchronize()
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    found = models.from_checkpoint(tmp_path / "big")
    mx.synchronize()
    peak = mx.get_peak_memory() - before
    assert 0.99 * sum(one._array.nbytes for one in found.state_dict().values()) <= peak < 1.1 * size


# Broken and hostile folders ------------------------------------------------------------------------------------------


def change(path, **entries):
    """Replace entries of a JSON file; None removes them."""
    content = {**json.loads(path.read_text()), **entries}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def set_config(**entries):
    return lambda folder: change(folder / "config.json", **entries)


def set_model_args(**entries):
    def do(folder):
        arguments = json.loads((folder / "config.json").read_text())["model_args"]
        change(folder / "config.json", model_args={**arguments, **entries})

    return do


def set_pretrained_cfg(**entries):
    def do(folder):
        described = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
        change(folder / "config.json", pretrained_cfg={**described, **entries})

    return do


def set_preprocessor(**entries):
    return lambda folder: change(folder / "preprocessor_config.json", **entries)


def set_index(**places):
    def do(folder):
        index = folder / "model.safetensors.index.json"
        found = json.loads(index.read_text())["weight_map"]
        change(index, weight_map={**found, **places})

    return do


def add_ghost(folder):
    set_index(ghost=min(folder.glob("model-*")).name)(folder)


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def remove(pattern):
    return lambda folder: [path.unlink() for path in folder.glob(pattern)]


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


TIMM = [
    (write("config.json", b"{"), r"config.json: it is not JSON: "),
    (write("config.json", b"\xff\xfe\x00"), r"config.json: it is not JSON: "),
    (write("config.json", b"[" * 100_000), r"config.json: it is not JSON: "),
    (write("config.json", b"[1]"), r"config.json: it must be a JSON object, got list"),
    (set_config(architecture="resnet50"), r"config.json: Lucid has no architecture 'resnet50'; see list_models\(\)"),
    (set_config(architecture="convnext_atto_rms"), r"no architecture 'convnext_atto_rms'; did you mean convnext_atto"),
    (set_config(architecture="convnext_isotropic_small"), r"Lucid has no architecture 'convnext_isotropic_small'"),
    (set_config(architecture=["convnext_tiny"]), r"'architecture' must be a string, got \['convnext_tiny'\]"),
    (set_config(model_type="convnext"), r"config.json: it has both 'architecture', as timm's have, and 'model_type'"),
    (set_config(num_classes=5, label_names=None), r"do not fit config.json, which describes 5 classes; .* has 3"),
    (set_config(num_classes=10**12, label_names={"0": "cat"}), r"'num_classes' must be at most 1048576, got 10"),
    (set_config(num_classes="many"), r"'num_classes' must be an integer, got 'many'"),
    (set_config(num_classes=-1, label_names=None), r"num_classes must be .*, got -1"),
    (set_config(label_names=["cat"]), r"'label_names' has 1 names, but the model has 3 outputs"),
    (set_config(label_names={"0": "cat", "7": "dog"}), r"'7' is not the number of one of the model's 3 outputs"),
    (set_config(label_names={"zero": "cat"}), r"'zero' is not the number of one of the model's 3 outputs"),
    (set_model_args(dims=[8, 10, 12, 20]), r"do not fit config.json: .*holds .*16.*the model is .*20"),
    (set_model_args(depths=[1, 2, 1, 2]), r"do not fit config.json: .*holds ConvNeXt\(depths=\[1, 2, 1, 1\]"),
    (set_model_args(depths=[1, 10**9, 1, 1]), r"'depths' must be a list of integers from 0 to 999"),
    (set_model_args(dims=[8, 10**12, 12, 16]), r"'dims' must be a list of integers from 0 to 1048576"),
    (set_model_args(depths=[1, 2, 1]), r"'depths' and 'dims' of 'model_args' must have 4 numbers"),
    (set_model_args(patch_size=2), r"timm's stem with patch_size=2, .* is not supported"),
    (set_model_args(patch_size="four"), r"'patch_size' must be an integer, got 'four'"),
    (set_model_args(patch_size=-3), r"patch_size must be .*, got -3"),
    (set_model_args(global_pool="median"), r"global_pool must be .*, got 'median'"),
    (set_model_args(act_layer="gelu_tanh"), r"'model_args' has act_layer='gelu_tanh', which Lucid's ConvNeXt does not"),
    (set_model_args(norm_layer="rmsnorm"), r"'model_args' has norm_layer='rmsnorm', which"),
    (set_model_args(use_grn=True), r"'model_args' has use_grn=True, which Lucid's ConvNeXt does not have"),
    (set_model_args(checkpoint_path="/etc/passwd"), r"'model_args' has 'checkpoint_path', which"),
    (set_pretrained_cfg(input_size=[3, 224]), r"'input_size' must be channels, height and the same width, got \[3,"),
    (set_pretrained_cfg(input_size=[3, 64, 96]), r"'input_size' must be channels, height and the same width"),
    (set_pretrained_cfg(crop_pct=0), r"'crop_pct' must be above 0 and at most 1, got 0"),
    (set_pretrained_cfg(crop_pct=1e-300), r"config.json: "),
    (set_pretrained_cfg(crop_mode="border"), r"crop_mode must be 'center' or 'squash', got 'border'"),
    (set_pretrained_cfg(mean=[0.5, "x", 0.5]), r"config.json: ImageTransform: mean must be"),
    (set_pretrained_cfg(interpolation="lanczos"), r"interpolation must be 'bicubic' or 'bilinear', got 'lanczos'"),
    (remove("model.safetensors"), r"has no weights file"),
    (truncate, r"model.safetensors is not a complete safetensors file"),
    (write("model.safetensors", b"not weights"), r"model.safetensors is not a complete safetensors file"),
]  # fmt: skip
TRANSFORMERS = [
    (set_config(hidden_act="relu"), r"'hidden_act' is 'relu', but Lucid's ConvNeXt has 'gelu'"),
    (set_config(hidden_sizes=[8, 10, 12]), r"'depths' and 'hidden_sizes' must have one number for each stage"),
    (set_config(hidden_sizes=[8, 10, 12, 24]), r"do not fit config.json: .*the model is .*24"),
    (set_config(model_type="convnextv2"), r"do not fit config.json: .*holds ConvNeXt\(.*the model is ConvNeXtV2\("),
    (set_config(id2label={"0": "cat"}), r"do not fit config.json, which describes 1 classes; .* has 3"),
    (set_config(id2label={"0": "cat", "1": "dog", "9": "ant"}), r"'9' is not the number of one of the"),
    (set_config(architectures=["ConvNextModel"]), r"do not fit config.json, which describes 0 classes; .* has 3"),
    (set_config(layer_norm_eps="small"), r"'layer_norm_eps' must be an integer or a number, got 'small'"),
    (set_preprocessor(resample=5), r"preprocessor_config.json: 'resample' must be one of \[2, 3\], got 5"),
    (set_preprocessor(size={"shortest_edge": -3}), r"'size' must be the side of a square in px"),
    (set_preprocessor(crop_pct=2), r"'crop_pct' must be above 0 and at most 1, got 2"),
    (set_preprocessor(do_rescale=False), r"'do_rescale' must be true, got false"),
    (set_preprocessor(rescale_factor=1), r"'rescale_factor' must be 1/255, got 1"),
    (write("preprocessor_config.json", b"null"), r"preprocessor_config.json: it must be a JSON object, got NoneType"),
]  # fmt: skip
SHARDED = [
    (set_index(**{"convnext.layernorm.weight": "../secret.safetensors"}), r"lists '../secret.safetensors', which"),
    (set_index(**{"convnext.layernorm.weight": "/etc/passwd"}), r"lists '/etc/passwd', which is not the name of"),
    (set_index(**{"convnext.layernorm.weight": "config.json"}), r"lists 'config.json', which is not the name of"),
    (add_ghost, r"model-00001.* has no tensor 'ghost', which .* lists"),
    (remove("model-00002*"), r"lists model-00002-of-.*.safetensors, which is missing"),
    (write("model.safetensors.index.json", b"{"), r"is not an index of shards"),
    (write("model.safetensors.index.json", b'{"weight_map": []}'), r"is not an index of shards: it has no 'weight_"),
]  # fmt: skip
BROKEN = [
    *(("timm, small", {}, *one) for one in TIMM),
    *(("huggingface, small", {}, *one) for one in TRANSFORMERS),
    *(("huggingface, small", {"max_shard_size": "8KB"}, *one) for one in SHARDED),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Whole folders by name and shard size, saved once."""
    folders = {}

    def get(name, max_shard_size=None):
        if (name, max_shard_size) not in folders:
            folders[name, max_shard_size] = tmp_path_factory.mktemp("whole")
            saved(name, folders[name, max_shard_size], max_shard_size=max_shard_size)
        return folders[name, max_shard_size]

    return get


@pytest.mark.parametrize(("name", "options", "damage", "message"), BROKEN, ids=[one[3][:50] for one in BROKEN])
def test_a_broken_folder_gives_one_clear_error(name, options, damage, message, tmp_path, whole):
    folder = shutil.copytree(whole(name, **options), tmp_path / "model")
    (tmp_path / "secret.safetensors").write_bytes((folder / "README.md").read_bytes())
    damage(folder)
    for opens in (models.from_checkpoint, models.create_model):
        with pytest.raises((ValueError, FileNotFoundError), match=message) as raised:
            opens(f"local-dir:{folder}")
        assert "\n" not in str(raised.value).split("nothing was loaded")[0]


def test_two_networks_in_one_folder_raise(tmp_path):
    folder = tmp_path / "model"
    saved("timm, small", folder)
    models.save_checkpoint(built("timm, small"), tmp_path / "official.safetensors")
    both = {**mx.load(str(folder / "model.safetensors")), **mx.load(str(tmp_path / "official.safetensors"))}
    mx.save_safetensors(str(folder / "model.safetensors"), both)
    with pytest.raises(ValueError, match="holds 2 networks: official names; timm names"):
        models.from_checkpoint(folder)


def test_a_pickle_is_never_executed(tmp_path):
    folder = tmp_path / "model"
    saved("timm, small", folder)
    (folder / "model.safetensors").unlink()
    evil = b"\x80\x04cos\nsystem\n(S'touch " + str(tmp_path / "hacked").encode() + b"'\ntR."
    (folder / "pytorch_model.bin").write_bytes(evil)
    with pytest.raises(ValueError, match=r"pytorch_model.bin"):
        models.from_checkpoint(folder)
    assert not (tmp_path / "hacked").exists()


def test_other_locations_raise(tmp_path):
    (tmp_path / "file").write_text("")
    for place in ("nowhere", tmp_path / "nowhere", tmp_path / "file", ""):
        for opens in (models.create_model, models.from_checkpoint):
            with pytest.raises(FileNotFoundError, match=f"{opens.__name__}: there is no folder '{place}'"):
                opens(f"local-dir:{place}")
    with pytest.raises(FileNotFoundError, match="create_model: there is no folder"):
        models.create_model(tmp_path / "nowhere")
    saved("timm, small", tmp_path / "model")
    with pytest.raises(TypeError, match="create_model: pretrained must be True or False for a folder, got 'fb_in1k'"):
        models.create_model(tmp_path / "model", pretrained="fb_in1k")
    with pytest.raises(TypeError, match="create_model: ConvNeXt has no option 'speed'"):
        models.create_model(tmp_path / "model", speed=3)
