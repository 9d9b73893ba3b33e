"""ConvNeXt: recorded logits and gradients, parameter counts, features, checkpointing, and errors."""

import json
import re

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import models, nn
from tests.reference import timm_calls
from tests.reference.convnext_cases import CASES, FILE, numbers, weight
from tests.reference.timm_calls import HEADS, LOGITS, SMALL

RECORDED = np.load(FILE)
TIMM = json.loads(timm_calls.FILE.read_text())
FAMILY = [
    lambda **options: models.ConvNeXt(5, [1, 2], [4, 8], layer_scale_init=0.5, patch_size=2, **options),
    lambda **options: models.ConvNeXtV2(5, [1, 2], [4, 8], patch_size=2, **options),
    lambda **options: models.ConvNeXtIsotropic(5, 3, 8, patch_size=4, **options),
]
family = pytest.mark.parametrize("make", FAMILY, ids=["V1", "V2", "isotropic"])


def build(case):
    depths, dims, in_chans, patch_size, scaled, classes, shape = CASES[case]
    model = models.ConvNeXt(
        classes, depths, dims, layer_scale_init=1e-6 if scaled else 0.0, in_chans=in_chans, patch_size=patch_size
    )
    values = {name: weight(case, name, p.shape) for name, p in model.named_parameters()}
    model.load_state_dict(values)
    return model, lucid.tensor(numbers(f"{case}/images", shape), requires_grad=True)


def relative_error(got, wanted):
    assert got.shape == wanted.shape
    return np.abs(got.numpy(force=True) - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("case", CASES)
def test_logits_and_all_gradients_agree_with_the_reference(case):
    model, images = build(case)
    logits = model(images)
    assert relative_error(logits, RECORDED[f"{case}/logits"]) < 1e-5
    logits.backward(lucid.tensor(numbers(f"{case}/cotangent", logits.shape)))
    gradients = {f"{case}/{name}.grad": p.grad for name, p in [*model.named_parameters(), ("images", images)]}
    assert set(gradients) == {key for key in RECORDED.files if key.startswith(f"{case}/") and key.endswith(".grad")}
    for name, gradient in gradients.items():
        assert relative_error(gradient, RECORDED[name]) < 1e-4, name


@pytest.mark.parametrize("case", LOGITS)
def test_logits_agree_with_timm(case):
    kind, arguments, shape = LOGITS[case]
    model = (models.ConvNeXtV2 if kind == "V2" else models.ConvNeXt)(7, **SMALL, **arguments).eval()
    values = {}
    for name, p in model.named_parameters():
        flat = (p.numel(),) if ".grn." in name else p.shape  # one-dimensional in timm
        values[name] = weight(case, name, flat).reshape(p.shape)
    model.load_state_dict(values)
    logits = model(lucid.tensor(numbers(f"{case}/images", shape)))
    wanted = np.array(TIMM["logits"][case]["values"]).reshape(TIMM["logits"][case]["shape"])
    assert relative_error(logits, wanted) < 1e-5


@pytest.mark.parametrize(("call", "wanted"), list(zip(HEADS, TIMM["heads"], strict=True)), ids=map(str, HEADS))
def test_heads_match_timm(call, wanted):
    arguments, reset = call
    model = models.ConvNeXt(**SMALL, **arguments).eval()
    if reset is not None:
        model.reset_classifier(**reset)
    assert (model.num_classes, model.num_features) == (wanted["num_classes"], wanted["num_features"])
    assert isinstance(model.get_classifier(), nn.Linear) == wanted["classifier"]
    assert model.num_parameters() == wanted["parameters"]
    images = lucid.randn(1, model.in_chans, 64, 96)
    features = model.forward_features(images)
    assert list(features.shape) == wanted["features"]
    assert list(model(images).shape) == wanted["output"]
    assert list(model.forward_head(features, pre_logits=True).shape) == wanted["pre_logits"]


def test_training_mode_without_drop_path_changes_nothing():
    model, images = build("three stages, 64x33 px, batch 3")
    assert model.training
    assert lucid.equal(model(images), model.eval()(images))


# name, parameters with 1000 classes, with 10
SIZES = [
    ("convnext_tiny", 28_589_128, 27_827_818),
    ("convnext_small", 50_223_688, 49_462_378),
    ("convnext_base", 88_591_464, 87_576_714),
    ("convnext_large", 197_767_336, 196_245_706),
    ("convnext_xlarge", 350_196_968, 348_168_458),
]


@pytest.mark.parametrize(("name", "thousand", "ten"), SIZES)
def test_parameter_counts(name, thousand, ten):
    create = getattr(models, name)
    lucid.memory.reset()
    before = lucid.memory.active()
    assert create().num_parameters() == thousand
    assert sum(p.numel() for p in create(num_classes=10).parameters()) == ten
    assert lucid.memory.peak() - before < 4 * thousand / 2  # no weights were computed


def test_defaults_are_convnext_tiny():
    model, tiny = models.ConvNeXt(), models.convnext_tiny()
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in tiny.state_dict().items()}
    assert len(shapes) == 182
    assert shapes["downsample_layers.0.0.weight"] == (96, 3, 4, 4)
    assert shapes["stages.2.8.dwconv.weight"] == (384, 1, 7, 7)
    assert shapes["stages.3.2.pwconv1.weight"] == (3072, 768)
    assert shapes["stages.0.0.gamma"] == (96,)
    assert shapes["head.weight"] == (1000, 768)


def test_documented_examples():
    image = lucid.random.randn(1, 3, 224, 224)
    with lucid.no_grad():
        assert models.ConvNeXt(num_classes=1000)(image).shape == (1, 1000)
        model = models.ConvNeXt(
            num_classes=10, depths=[2, 2, 6, 2], dims=[64, 128, 256, 512], drop_path=0.1, layer_scale_init=1e-5
        )
        assert model(image).shape == (1, 10)


def test_initial_values():
    model = models.ConvNeXt(10, [1, 1], [64, 128], layer_scale_init=1e-5)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weights = module.weight.numpy(force=True)
            assert abs(weights.std() - 0.02) < 0.004 and abs(weights.mean()) < 0.004, name
            assert not module.bias.numpy(force=True).any()
        if isinstance(module, nn.LayerNorm):
            assert module.eps == 1e-6
    assert np.allclose(model.stages[1][0].gamma.numpy(force=True), 1e-5)


def test_equal_seeds_give_equal_models():
    states = []
    for _ in range(2):
        lucid.manual_seed(3)
        states.append(models.ConvNeXt(4, [1], [8]).state_dict())
    assert all(lucid.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("scale", [0, -1.0])
def test_no_layer_scale_means_no_gamma(scale):
    model = models.ConvNeXt(4, [1], [8], layer_scale_init=scale)
    assert not any("gamma" in name for name, _ in model.named_parameters())
    assert model.stages[0][0].gamma is None


def test_drop_path_rates_grow_from_block_to_block():
    model = models.ConvNeXt(4, [1, 3, 1], [4, 4, 4], drop_path=0.4)
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for stage in model.stages for block in stage]
    np.testing.assert_allclose(rates, [0, 0.1, 0.2, 0.3, 0.4])


def test_drop_path_is_active_only_in_training():
    model = models.ConvNeXt(4, [2, 2], [8, 8], drop_path=0.9, layer_scale_init=1.0)
    images = lucid.randn(4, 3, 16, 16)
    assert not lucid.equal(model(images), model(images))
    model.eval()
    assert lucid.equal(model(images), model(images))


def training_step(every, autocast=False):
    """Loss and gradients of a training step, and the random numbers drawn after it."""
    lucid.manual_seed(3)
    model = models.ConvNeXt(5, [3, 4], [8, 12], drop_path=0.6, layer_scale_init=0.5, patch_size=2)
    images = lucid.randn(3, 3, 10, 12, requires_grad=True)
    if every:
        model.set_grad_checkpointing(every=every)
    lucid.manual_seed(4)
    with lucid.autocast(enabled=autocast):
        loss = (model(images) ** 2).sum()
    loss.backward()
    return loss, {name: p.grad for name, p in [*model.named_parameters(), ("images", images)]}, lucid.rand(3)


@pytest.mark.parametrize("every", ["block", "stage"])
@pytest.mark.parametrize("autocast", [False, True])
def test_grad_checkpointing_changes_no_loss_gradient_or_random_number(every, autocast):
    plain_loss, plain, plain_next = training_step(None, autocast)
    loss, gradients, next_numbers = training_step(every, autocast)
    assert lucid.equal(loss, plain_loss) and lucid.equal(next_numbers, plain_next)
    assert gradients.keys() == plain.keys()
    # Bit for bit, because the same operations run in the same order.
    assert [name for name in plain if not lucid.equal(gradients[name], plain[name])] == []


@family
def test_grad_checkpointing_of_every_network(make):
    images, gradients = lucid.randn(2, 3, 8, 8), []
    for every in (None, "block", "stage"):
        lucid.manual_seed(3)
        model = make(drop_path=0.5)
        model.set_grad_checkpointing(every is not None, every or "block")
        lucid.manual_seed(4)
        (model(images) ** 2).sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, *others in zip(*gradients, strict=True):
        assert all(lucid.equal(plain, one) for one in others)


def test_grad_checkpointing_inside_a_compiled_step():
    results = []
    for compiled in (False, True):
        lucid.manual_seed(5)
        model = models.ConvNeXt(4, [1, 2], [4, 6], drop_path=0.5, layer_scale_init=0.5, patch_size=2)
        model.set_grad_checkpointing()
        optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)

        def step(images, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (model(images) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        run = lucid.compile(step, state=[model, optimizer]) if compiled else step
        losses = [run(lucid.ones(3, 3, 6, 6)).item() for _ in range(3)]
        results.append((losses, [p.numpy(force=True) for p in model.parameters()]))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    for eager, traced in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(traced, eager, rtol=1e-4, atol=1e-6)


def test_grad_checkpointing_records_one_node_per_block_or_stage():
    model = models.ConvNeXt(4, [2, 3], [4, 4], patch_size=1)
    images = lucid.randn(1, 3, 4, 4)

    def checkpoints():
        found, stack = set(), [model(images).grad_fn]
        while stack:
            node = stack.pop()
            if node not in found:
                found.add(node)
                stack += [edge[0] for edge in node.edges if isinstance(edge, tuple)]
        return sum(node.name == "checkpoint" for node in found)

    counts = [checkpoints()]
    for arguments in ({}, {"every": "stage"}, {"enable": False}):
        model.set_grad_checkpointing(**arguments)
        counts.append(checkpoints())
    model.set_grad_checkpointing()
    model.eval()
    counts.append(checkpoints())
    assert counts == [0, 5, 2, 0, 0]
    with lucid.no_grad():
        assert not model.train()(images).requires_grad


def peak_of_a_step(every):
    """Peak memory of forward and backward of a deep model, in bytes above what was allocated before."""
    lucid.manual_seed(0)
    model = models.ConvNeXt(4, [16], [16], patch_size=1)
    model.set_grad_checkpointing(every is not None, every or "block")
    images = lucid.randn(8, 3, 8, 8)
    peaks = []
    for _ in range(2):  # the first one also compiles
        model.zero_grad()
        mx.eval([p.mlx for p in model.parameters()], images.mlx)
        lucid.memory.clear_cache()
        lucid.memory.reset()
        before = lucid.memory.active()
        model(images).sum().backward()
        mx.eval([p.grad.mlx for p in model.parameters()])
        mx.synchronize()
        peaks.append(lucid.memory.peak() - before)
    return peaks[-1]


@pytest.mark.usefixtures("settled")
def test_grad_checkpointing_needs_at_most_60_percent_of_the_memory():
    assert peak_of_a_step("block") < 0.6 * peak_of_a_step(None)


def test_grad_checkpointing_rejects_other_values():
    message = "set_grad_checkpointing: every must be 'block' or 'stage', got 'layer'"
    with pytest.raises(ValueError, match=message):
        models.ConvNeXt(4, [1], [4]).set_grad_checkpointing(every="layer")


def test_features():
    model, images = build("four stages, 33 px, batch 3")
    features = model.forward_features(images)
    assert features.shape == (3, 20, 1, 1)
    logits = model(images)
    assert lucid.equal(model.forward_head(features), logits)
    pooled = model.forward_head(features, pre_logits=True)
    assert pooled.shape == (3, 20)
    assert lucid.equal(model.get_classifier()(pooled), logits)
    headless = models.ConvNeXt(0, *CASES["four stages, 33 px, batch 3"][:2])
    headless.load_state_dict(model.state_dict(), strict=False)
    assert lucid.equal(headless(images), pooled)


@family
def test_a_new_classifier_is_initialized_as_in_a_new_model(make):
    model = make(head_init_scale=0.5).to(lucid.bfloat16).eval()
    model.requires_grad_(False)
    model.reset_classifier(3000)
    head = model.get_classifier()
    weights = head.weight.to(lucid.float32).numpy(force=True)
    assert weights.shape == (3000, 8) and abs(weights.std() - 0.01) < 0.001
    assert not head.bias.any().item()
    assert head.weight.dtype == lucid.bfloat16 and not head.training
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["head.weight", "head.bias"]


@family
def test_without_pooling_every_position_is_classified(make):
    model, images = make(), lucid.randn(2, 3, 12, 16)
    averaged = model(images)
    model.global_pool = ""
    logits = model(images)
    assert logits.shape == (2, 5, 3, 4)
    place = model.forward_features(images)[:, :, 1:2, 2:3]
    model.global_pool = "avg"
    np.testing.assert_allclose(
        model.forward_head(place).numpy(force=True), logits[:, :, 1, 2].numpy(force=True), rtol=1e-4, atol=1e-6
    )
    assert lucid.equal(model(images), averaged)


@family
def test_head_dropout_is_active_only_in_training(make):
    model, images = make(drop_rate=0.9), lucid.randn(4, 3, 8, 8)
    assert not lucid.equal(model(images), model(images))
    model.eval()
    assert lucid.equal(model(images), model(images))


@family
def test_intermediate_layers(make):
    model, images = make(), lucid.randn(2, 3, 12, 20)
    last, maps = model.forward_intermediates(images)
    layers = len(model.feature_info)
    assert lucid.equal(last, model.forward_features(images))
    assert [y.shape[1] for y in maps] == [one["num_chs"] for one in model.feature_info]
    assert [12 // y.shape[2] for y in maps] == [one["reduction"] for one in model.feature_info]
    for name, y in zip((one["module"] for one in model.feature_info), maps, strict=True):
        seen = []
        handle = model.get_submodule(name).register_forward_hook(lambda m, a, out, seen=seen: seen.append(out))
        model(images)
        handle.remove()
        assert lucid.equal(seen[0].permute(0, 3, 1, 2), y)

    nhwc = model.forward_intermediates(images, 1, norm=True, output_fmt="NHWC", intermediates_only=True)
    assert len(nhwc) == 1 and lucid.equal(nhwc[0], model.norm(last.permute(0, 2, 3, 1)))
    early = model.forward_intermediates(images, [0], stop_early=True)
    assert lucid.equal(early[0], maps[0]) and lucid.equal(early[1][0], maps[0])

    [tokens] = model.get_intermediate_layers(images)
    assert lucid.equal(tokens, nhwc[0].flatten(1, 2))
    [(first, mean), (final, _)] = model.get_intermediate_layers(
        images, [0, -1], reshape=True, return_class_token=True, norm=False
    )
    assert lucid.equal(first, maps[0]) and lucid.equal(final, last)
    np.testing.assert_allclose(mean.numpy(force=True), maps[0].mean(dim=(2, 3)).numpy(force=True), atol=1e-6)
    assert len(model.get_intermediate_layers(images, layers)) == layers


def test_the_final_norm_applies_to_the_last_stage_or_to_every_block():
    images = lucid.randn(1, 3, 8, 8)
    for make, normed in zip(FAMILY, (False, False, True), strict=True):
        model = make()
        plain, scaled = (model.get_intermediate_layers(images, [0], norm=norm)[0] for norm in (False, True))
        assert lucid.equal(scaled, model.norm(plain) if normed else plain)


@family
def test_frozen_stages_get_no_gradient(make):
    model, layers = make(), len(make().feature_info)
    for n in range(layers + 1):
        model.requires_grad_(True)
        model.freeze_stages(n)
        frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        stages = {name.rpartition(".")[0] for name in frozen if name.startswith(("stages.", "blocks."))}
        assert len({name.split(".")[1] for name in stages}) == n
        assert any("downsample_layers.0" in name or "stem" in name for name in frozen)
        assert not any(name.startswith(("norm", "head", f"downsample_layers.{max(n, 1)}")) for name in frozen)
    model.zero_grad()
    model(lucid.randn(1, 3, 8, 8)).sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is None} == frozen
    with pytest.raises(ValueError, match=f"freeze_stages: n must be at most {layers}, the number of stages, got 9"):
        model.freeze_stages(9)


@family
def test_pruning_keeps_what_the_feature_maps_need(make):
    model, images = make(), lucid.randn(1, 3, 8, 8)
    [wanted] = model.forward_intermediates(images, [0], intermediates_only=True)
    assert model.prune_intermediate_layers([0]) == [0]
    assert lucid.equal(model(images), wanted)
    assert (model.num_features, model.num_classes) == (wanted.shape[1], 0)
    assert len(model.feature_info) == 1
    whole = make()
    whole.prune_intermediate_layers(1, prune_head=False)
    assert whole(images).shape == (1, 5)


@family
def test_gradients_of_black_images_are_finite(make):
    """In V2 a channel may be all zeros, where the norm of the response has no derivative."""
    model = make()
    if isinstance(model, models.ConvNeXtV2):
        for name, p in model.named_parameters():
            nn.init.ones_(p) if name.endswith("grn.gamma") else nn.init.zeros_(p)
    images = lucid.zeros(2, 3, 8, 8, requires_grad=True)
    model(images).square().sum().backward()
    for tensor in (images, *model.parameters()):
        assert np.isfinite(tensor.grad.numpy()).all()


@family
def test_autocast_computes_in_half_precision(make):
    model, images = make(), lucid.randn(2, 3, 12, 12)
    wanted = model(images).numpy(force=True)
    with lucid.autocast(dtype=lucid.bfloat16):
        logits = model(images)
    assert logits.dtype == lucid.bfloat16
    assert np.abs(logits.to(lucid.float32).numpy(force=True) - wanted).max() < 0.05 * np.abs(wanted).max() + 1e-3


def test_compiled_and_eager_agree():
    model = models.ConvNeXtV2(5, [0, 1], [4, 6], patch_size=8, output_stride=8).eval()
    for name, p in model.named_parameters():
        if "grn" in name:
            nn.init.normal_(p)
    images = lucid.randn(2, 3, 20, 36)
    run = lucid.compile(lambda x: model(x), state=[model])
    wanted = model(images).numpy(force=True)
    np.testing.assert_allclose(run(images).numpy(force=True), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_norm_eps():
    model = models.ConvNeXtV2(5, [1, 1], [4, 8], norm_eps=1e-5, head_norm_eps=1e-12)
    found = {name: one.eps for name, one in model.named_modules() if isinstance(one, nn.LayerNorm)}
    assert found.pop("norm") == 1e-12 and set(found.values()) == {1e-5}


@pytest.mark.parametrize(("patch_size", "strides"), [(1, [1]), (2, [2]), (4, [2, 2])])
def test_an_overlapping_stem_has_the_stride_of_a_patch_stem(patch_size, strides):
    model = models.ConvNeXt(5, [1, 1], [4, 8], patch_size=patch_size, stem_type="overlap")
    convolutions = [one for one in model.downsample_layers[0] if isinstance(one, nn.Conv2d)]
    assert [(one.kernel_size, one.stride[0]) for one in convolutions] == [((3, 3), stride) for stride in strides]
    first, second = model.forward_intermediates(lucid.zeros(1, 3, 24, 16), intermediates_only=True)
    assert first.shape == (1, 4, 24 // patch_size, 16 // patch_size)
    assert second.shape == (1, 8, 12 // patch_size, 8 // patch_size)


def test_a_hidden_layer_is_initialized_like_the_classifier():
    wide = models.ConvNeXt(5, [1], [64], head_hidden_size=100, head_init_scale=0.1)
    for layer in (wide.pre_logits, wide.head):
        assert layer.weight.std().item() == pytest.approx(0.002, rel=0.1)
        assert not layer.bias.any()
    assert wide.head_hidden_size == 100 and wide.num_features == 64


def test_head_norm_first_normalizes_once():
    model = models.ConvNeXt(5, [1, 1], [4, 8], head_norm_first=True)
    images = lucid.randn(2, 3, 8, 8)
    [*_, last], plain = model.forward_intermediates(images, norm=True, intermediates_only=True), model._maps(images)
    *_, bare = plain
    wanted = model.norm_pre(bare).permute(0, 3, 1, 2)
    for got in (last, model.forward_features(images), model.forward_intermediates(images)[0]):
        np.testing.assert_allclose(got.numpy(force=True), wanted.numpy(force=True), rtol=1e-5, atol=1e-6)
    logits = model.head(wanted.mean(dim=(2, 3)))
    np.testing.assert_allclose(model(images).numpy(force=True), logits.numpy(force=True), rtol=1e-4, atol=1e-6)
    first, _ = model.forward_intermediates(images, [0], stop_early=True)
    assert first.shape == (2, 4, 2, 2)


def test_samples_are_independent():
    model, images = build("four stages, 33 px, batch 3")
    alone = model(images[1:2])
    np.testing.assert_allclose(alone.numpy(force=True), model(images)[1:2].numpy(force=True), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"depths": [1, 2], "dims": [8]}, ValueError, r"one number for each stage, got \[1, 2\] and \[8\]"),
        ({"depths": [], "dims": []}, ValueError, r"one number for each stage, got \[\] and \[\]"),
        ({"depths": 3, "dims": [8]}, TypeError, "ConvNeXt: depths must be a sequence of integers, got 3"),
        ({"depths": [1.5], "dims": [8]}, TypeError, r"ConvNeXt: depths must be an integer, got 1\.5"),
        ({"depths": [1], "dims": [0]}, ValueError, "ConvNeXt: dims must be at least 1, got 0"),
        ({"num_classes": -1}, ValueError, "ConvNeXt: num_classes must be at least 0, got -1"),
        ({"drop_path": 1.5}, ValueError, r"ConvNeXt: drop_path must be at least 0 and at most 1, got 1\.5"),
        ({"patch_size": 0}, ValueError, "ConvNeXt: patch_size must be at least 1, got 0"),
        ({"in_chans": 0}, ValueError, "ConvNeXt: in_chans must be at least 1, got 0"),
        ({"output_stride": 4}, ValueError, "ConvNeXt: output_stride must be 8, 16, 32 or None, got 4"),
        ({"global_pool": "mean"}, ValueError, "ConvNeXt: global_pool must be 'avg', 'max', 'avgmax' or '', got 'mean'"),
        ({"drop_rate": -1}, ValueError, "ConvNeXt: drop_rate must be at least 0 and at most 1, got -1"),
        (
            {"stem_type": "overlapping"},
            ValueError,
            "ConvNeXt: stem_type must be 'patch', 'overlap', .* got 'overlapping'",
        ),
        ({"stem_type": "overlap", "patch_size": 3}, ValueError, "stem_type 'overlap', must be 1, 2 or 4, got 3"),
        ({"stem_type": "overlap_act", "patch_size": 2}, ValueError, "stem_type 'overlap_act', must be 4, got 2"),
        ({"head_hidden_size": 0}, ValueError, "ConvNeXt: head_hidden_size must be at least 1, got 0"),
        ({"head_hidden_size": 5, "head_norm_first": True}, ValueError, "head_hidden_size cannot be combined"),
        ({"layer_scale_init": "1e-6"}, TypeError, "Block: layer_scale_init must be a number, got '1e-6'"),
    ],
)
def test_invalid_options_raise(arguments, error, message):
    with pytest.raises(error, match=message):
        models.ConvNeXt(**arguments)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 32, 32), r"the images must have 4 dimensions \(N, C, H, W\), got \(3, 32, 32\)"),
        ((1, 1, 32, 32), r"the images must have 3 channels \(N, C, H, W\), got \(1, 1, 32, 32\)"),
        ((1, 32, 32, 3), r"got \(1, 32, 32, 3\); if the last dimension has the channels, use .permute\(0, 3, 1, 2\)"),
        ((1, 3, 31, 40), "at least 32x32 px for 4 stages and patch_size 4, got 31x40; a smaller patch_size"),
    ],
)
def test_images_that_do_not_fit_raise(shape, message):
    model = models.ConvNeXt(4, [1, 1, 1, 1], [4, 4, 4, 4])
    with pytest.raises(ValueError, match=message):
        model(lucid.zeros(shape))


def test_uint8_images_and_pillow_images_raise_an_error_that_names_the_transform():
    model = models.ConvNeXt(4, [1], [4])
    with pytest.raises(TypeError, match=r"images must be floating-point, got uint8; models.transforms_for\(model\)"):
        model(lucid.zeros(1, 3, 32, 32, dtype="uint8"))
    image = pytest.importorskip("PIL.Image").new("RGB", (32, 32))
    with pytest.raises(TypeError, match=r"a Pillow image \(Image\) is not a tensor; lucid.models.transforms_for"):
        model(image)


@pytest.mark.parametrize(
    ("convert", "what"),
    [
        (lambda name: f"module.{name}", "official names with the prefix 'module.'"),
        (lambda name: name.replace("stages.0.0.dwconv", "stages.0.blocks.0.conv_dw"), "timm names"),
        (lambda name: name.replace("stages.0.0.dwconv", "features.1.0.block.0"), "torchvision names"),
        (lambda name: name.replace("stages.0.0.dwconv", "encoder.stages.0.layers.0.dwconv"), "huggingface names"),
    ],
)
def test_load_state_dict_names_load_checkpoint_for_names_that_it_reads(convert, what):
    model = models.ConvNeXt(4, [1], [4])
    given = {convert(name): value for name, value in model.state_dict().items()}
    hint = f"\nThese are {what}; lucid.models.load_checkpoint(model, ...) loads them"
    with pytest.raises(RuntimeError, match=re.escape(hint)):
        model.load_state_dict(given)
    with pytest.raises(RuntimeError, match="These are weights inside of 'model'; lucid.models.load_checkpoint"):
        model.load_state_dict({"model": given})
    with pytest.raises(RuntimeError) as plain:
        model.load_state_dict({"another.weight": lucid.zeros(1)})
    assert "load_checkpoint" not in str(plain.value)
    assert not model.load_state_dict(model.state_dict()).missing_keys


def test_the_error_suggests_a_smaller_patch_size_only_if_there_is_one():
    with pytest.raises(ValueError, match="at least 2x2 px for 2 stages and patch_size 1, got 1x4$"):
        models.ConvNeXt(4, [1, 1], [4, 4], patch_size=1)(lucid.zeros(1, 3, 1, 4))


@family
def test_numpy_and_mlx_arrays_are_accepted(make):
    model, images = make(), np.float32(np.random.default_rng(0).normal(size=(2, 3, 8, 12)))
    wanted = model(lucid.tensor(images))
    assert lucid.equal(model(images), wanted) and lucid.equal(model(mx.array(images)), wanted)


def test_errors_name_the_class():
    with pytest.raises(ValueError, match="ConvNeXtV2: depths must be at least 0, got -1"):
        models.ConvNeXtV2(depths=[-1], dims=[4])
    with pytest.raises(ValueError, match="ConvNeXtIsotropic: depth must be at least 1, got 0"):
        models.ConvNeXtIsotropic(depth=0)
    with pytest.raises(ValueError, match="ConvNeXtIsotropic: the images must be at least 16x16 px for patch_size 16"):
        models.ConvNeXtIsotropic(depth=1, dim=4)(lucid.zeros(1, 3, 15, 16))


def test_half_precision():
    model, images = build("two stages, grey, patch 2")
    wanted = model(images).numpy(force=True)
    logits = model.to(lucid.bfloat16)(images.to(lucid.bfloat16))
    assert logits.dtype == lucid.bfloat16
    assert np.abs(logits.numpy(force=True) - wanted).max() < 0.05 * np.abs(wanted).max()
