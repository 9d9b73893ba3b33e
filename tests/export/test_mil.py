"""The interpreter of Core ML programs, against coremltools' own evaluation and examples of its documents."""

import ast
from pathlib import Path

import numpy as np
import pytest

from lucid.export import _mil
from lucid.export._mil import PackageError, compression, package, program, reductions, resizing, windows

G = np.random.default_rng(7)
X = G.normal(size=(2, 3, 4, 5)).astype(np.float32)
Y = G.normal(size=(3, 1, 5)).astype(np.float32)
P = np.abs(X) + 0.1
B = X > 0
SLICE = {"begin": [0, 1, -3, 4], "end": [2, 3, 0, 0], "stride": [1, 2, 1, -2], "end_mask": [False, False, True, True]}
# coremltools computes these for constants: operation, arguments.
CASES = [
    *[
        (name, {"x": X, "y": Y})
        for name in ("add", "sub", "mul", "maximum", "minimum", "greater", "less_equal", "equal")
    ],
    ("real_div", {"x": X, "y": Y}),
    ("pow", {"x": P, "y": Y}),
    ("floor_div", {"x": X, "y": Y}),
    ("mod", {"x": X, "y": Y}),
    *[
        (name, {"x": X})
        for name in ("abs", "ceil", "cos", "erf", "exp", "floor", "sign", "sin", "square", "tanh", "atan")
    ],
    *[(name, {"x": P}) for name in ("sqrt", "exp2")],
    ("log", {"x": P, "epsilon": np.float32(1e-3)}),
    ("rsqrt", {"x": P, "epsilon": np.float32(1e-3)}),
    ("inverse", {"x": P, "epsilon": np.float32(1e-3)}),
    ("clip", {"x": X, "alpha": np.float32(-0.5), "beta": np.float32(0.3)}),
    ("logical_and", {"x": B, "y": ~B[:, :1]}),
    ("logical_not", {"x": B}),
    ("select", {"cond": B, "a": X, "b": -X}),
    ("cast", {"x": X * 3, "dtype": "int32"}),
    ("relu", {"x": X}),
    ("relu6", {"x": X * 5}),
    ("elu", {"x": X, "alpha": np.float32(0.7)}),
    ("sigmoid", {"x": X}),
    ("leaky_relu", {"x": X, "alpha": np.float32(0.2)}),
    ("softplus", {"x": X}),
    ("softsign", {"x": X}),
    ("softmax", {"x": X, "axis": 1}),
    ("sigmoid_hard", {"x": X, "alpha": np.float32(0.3), "beta": np.float32(0.4)}),
    ("gelu", {"x": X, "mode": "EXACT"}),
    ("gelu", {"x": X, "mode": "TANH_APPROXIMATION"}),
    ("prelu", {"x": X, "alpha": np.array([0.1, 0.2, 0.3], np.float32)}),
    *[
        (f"reduce_{name}", {"x": X, "axes": [1, 3], "keep_dims": keep})
        for name in ("mean", "sum", "max", "min", "prod")
        for keep in (True, False)
    ],
    *[
        (f"reduce_{name}", {"x": P, "axes": [2], "keep_dims": True})
        for name in ("l1_norm", "l2_norm", "log_sum_exp", "sum_square")
    ],
    ("reduce_argmax", {"x": X, "axis": 2, "keep_dims": False}),
    ("transpose", {"x": X, "perm": [3, 0, 2, 1]}),
    ("reshape", {"x": X, "shape": [2, 12, 5]}),
    ("expand_dims", {"x": X, "axes": [1, 5]}),
    ("squeeze", {"x": X[:, :1], "axes": [1]}),
    ("slice_by_index", {"x": X, **SLICE}),
    (
        "slice_by_index",
        {"x": X, "begin": [1, 0, 0, 0], "end": [0, 3, 4, 5], "squeeze_mask": [True, False, False, False]},
    ),
    ("concat", {"values": [X, -X], "axis": 2}),
    ("stack", {"values": [X, -X], "axis": 1}),
    ("tile", {"x": X, "reps": [1, 2, 1, 3]}),
    ("reverse", {"x": X, "axes": [1, 3]}),
    ("gather", {"x": X, "indices": np.array([2, 0], np.int32), "axis": 1}),
    ("cumsum", {"x": X, "axis": 2}),
    ("matmul", {"x": X, "y": X, "transpose_y": True}),
    ("fill", {"shape": [2, 3], "value": np.float32(4)}),
    ("linear", {"x": X[0, 0], "weight": X[0, 1], "bias": np.array([1, 2, 3, 4], np.float32)}),
    ("range_1d", {"start": 1, "end": 9, "step": 3}),
]


@pytest.fixture(scope="module")
def builder():
    ct = pytest.importorskip("coremltools", reason="it is the reference")
    from coremltools.converters.mil import Builder as mb
    from coremltools.converters.mil.mil import Function

    with Function({}, opset_version=ct.target.iOS16):
        yield mb


@pytest.mark.parametrize(("operation", "arguments"), CASES, ids=[f"{i}-{one[0]}" for i, one in enumerate(CASES)])
def test_operations_agree_with_coremltools(builder, operation, arguments):
    expected = getattr(builder, operation)(**arguments).val
    if expected is None:
        pytest.fail(f"coremltools does not compute {operation}")
    found = program._OPERATIONS[operation](**arguments)
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


def test_split_agrees_with_coremltools(builder):
    for expected, found in zip(
        builder.split(x=X, split_sizes=[1, 3], axis=2),
        program._OPERATIONS["split"](x=X, split_sizes=[1, 3], axis=2),
        strict=True,
    ):
        assert (expected.val == found).all()


@pytest.mark.parametrize(
    ("mode", "target", "expected"),
    [
        ("UNALIGN_CORNERS", 5, [0.0, 0.1, 0.5, 0.9, 1.0]),
        ("STRICT_ALIGN_CORNERS", 5, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("DEFAULT", 5, [0.0, 0.4, 0.8, 1.0, 1.0]),
        ("UNALIGN_CORNERS", 6, [0.0, 0.0, 0.33, 0.67, 1.0, 1.0]),
        ("ALIGN_CORNERS", 6, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_grids_of_the_documentation(mode, target, expected):
    """Examples of coremltools' documentation of ``resize_bilinear``: an interval from 0 to 1."""
    x = np.array([[[[0.0, 1.0]]]], np.float32)
    found = resizing.resize_bilinear(x, 1, target, mode)
    np.testing.assert_allclose(found[0, 0, 0], expected, atol=4e-3)


def test_convolutions_by_hand():
    x = np.array([[[1.0, 2.0, 3.0, 4.0]]], np.float32)
    kernel = np.array([[[1.0, 10.0, 100.0]]], np.float32)
    assert windows.conv(x, kernel).tolist() == [[[321.0, 432.0]]]  # 1 + 20 + 300, not flipped
    padded = windows.conv(x, kernel, pad_type="custom", pad=[1, 0], strides=[2], bias=np.ones(1, np.float32))
    assert padded.tolist() == [[[211.0, 433.0]]]
    assert windows.conv(x, kernel, pad_type="same").tolist() == [[[210.0, 321.0, 432.0, 43.0]]]
    up = windows.conv_transpose(x[..., :2], kernel, strides=[2])
    assert up.tolist() == [[[1.0, 10.0, 102.0, 20.0, 200.0]]]
    assert windows.conv_transpose(x[..., :2], kernel, strides=[2], pad_type="custom", pad=[1, 2]).tolist() == [
        [[10.0, 102.0]]
    ]
    groups = windows.conv(
        np.ones((1, 2, 1), np.float32), np.array([[[2.0]], [[3.0]], [[5.0]], [[7.0]]], np.float32), groups=2
    )
    assert groups.ravel().tolist() == [2.0, 3.0, 5.0, 7.0]


def test_pools_by_hand():
    x = np.arange(5, dtype=np.float32).reshape(1, 1, 5)
    assert windows.max_pool(x, [2], [2]).tolist() == [[[1.0, 3.0]]]
    assert windows.max_pool(x, [2], [2], ceil_mode=True).tolist() == [[[1.0, 3.0, 4.0]]]
    padded = {"kernel_sizes": [2], "strides": [2], "pad_type": "custom", "pad": [1, 1]}
    assert windows.avg_pool(x, **padded).tolist() == [[[0.0, 1.5, 3.5]]]
    assert windows.avg_pool(-x - 1, **padded, exclude_padding_from_average=True).tolist() == [[[-1.0, -2.5, -4.5]]]


def test_normalizations_by_hand():
    x = np.array([[[1.0, 5.0], [3.0, 9.0]]], np.float32)  # (1, 2, 2)
    found = reductions.layer_norm(x, [1], np.array([2.0, 4.0], np.float32), np.array([10.0, 20.0], np.float32), 0.0)
    assert found.tolist() == [[[8.0, 8.0], [24.0, 24.0]]]
    statistics = {
        "mean": np.array([1.0, 2.0], np.float32),
        "variance": np.array([4.0, 1.0], np.float32),
        "epsilon": 0.0,
    }
    assert reductions.batch_norm(x, **statistics).tolist() == [[[0.0, 2.0], [1.0, 7.0]]]
    assert reductions.instance_norm(x, epsilon=0.0).tolist() == [[[-1.0, 1.0], [-1.0, 1.0]]]


def test_compressed_weights_by_hand():
    data = np.array([[1, 2], [3, 4]], np.int8)
    scale, zero = np.array([1.0, 10.0], np.float16), np.array([1, 2], np.int8)
    assert compression.constexpr_affine_dequantize(data, zero, scale, 0).tolist() == [[0.0, 1.0], [10.0, 20.0]]
    assert compression.constexpr_affine_dequantize(data, np.int8(0), np.float16(2), 0).tolist() == [
        [2.0, 4.0],
        [6.0, 8.0],
    ]
    packed = np.array([0b11_10_01_00, 0b01], np.uint8)
    table = np.array([5.0, 6.0, 7.0, 8.0], np.float32)
    assert compression.constexpr_lut_to_dense(packed, table, np.array([5])).tolist() == [5.0, 6.0, 7.0, 8.0, 6.0]
    blocks = compression.constexpr_blockwise_shift_scale(
        np.array([[1, 2, 3, 4]], np.int8), np.array([[1.0, 10.0]], np.float16)
    )
    assert blocks.tolist() == [[1.0, 2.0, 30.0, 40.0]]


def test_the_interpreter_knows_nothing_of_the_code_that_writes():
    for path in Path(_mil.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                known = name == "lucid.export" or name.startswith("lucid.export._mil")
                assert not name.startswith("lucid") or known, f"{path.name} imports {name}"


def test_broken_packages(tmp_path):
    pytest.importorskip("coremltools", reason="it parses packages")
    with pytest.raises(PackageError, match="is not a Core ML package"):
        _mil.MLProgram(tmp_path / "none.mlpackage")
    folder = tmp_path / "m.mlpackage"
    folder.mkdir()
    for text in ("{", "[]", "{}", '{"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "x"}}}'):
        (folder / "Manifest.json").write_text(text)
        with pytest.raises(PackageError, match="is not a Core ML package"):
            _mil.MLProgram(folder)


def test_too_few_bits():
    with pytest.raises(PackageError, match="9 integers of 4 bits need more than 4 bytes"):
        package.unpack_bits(np.zeros(4, np.uint8), 4, 9)
