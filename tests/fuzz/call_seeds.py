"""Correct calls of what ``captured_calls`` does not see: views, creation, methods, layers, optimizers, schedules."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

import lucid
from lucid import _late, nn, optim
from lucid.nn import functional as F
from tests.fuzz.captured_calls import Call, Given, captured, made, tensor

M = tensor(2, 3)
CUBE = tensor(2, 3, 4)
IMAGES = tensor(2, 4, 5, 5)
ROWS = tensor(2, 4, 5)
VOLUMES = tensor(1, 4, 3, 4, 3)


def of(*args: Any, **kwargs: Any) -> Call:
    return args, kwargs


VIEWS: dict[str, list[Call]] = {
    "reshape": [of(M, (3, 2)), of(M, 6), of(M, -1, 2)],
    "view": [of(M, 3, 2), of(M, (6,)), of(M, lucid.int32)],
    "reshape_as": [of(M, tensor(3, 2))],
    "view_as": [of(M, tensor(3, 2))],
    "flatten": [of(CUBE, 1, 2), of(CUBE, start_dim=1)],
    "unflatten": [of(tensor(2, 6), 1, (2, 3)), of(tensor(2, 6), 1, (2, -1))],
    "squeeze": [of(tensor(2, 1, 3), 1), of(tensor(2, 1, 1), (1, 2))],
    "unsqueeze": [of(M, 1)],
    "transpose": [of(CUBE, 0, 2)],
    "swapaxes": [of(CUBE, 0, 2)],
    "swapdims": [of(CUBE, 0, 2)],
    "permute": [of(CUBE, 2, 0, 1), of(CUBE, (2, 0, 1))],
    "movedim": [of(CUBE, 0, 2), of(CUBE, (0, 1), (2, 0))],
    "moveaxis": [of(CUBE, 0, 2), of(CUBE, (0, 1), (2, 0))],
    "t": [of(M)],
    "expand": [of(tensor(1, 3), 2, 3), of(tensor(1, 3), (4, 2, -1))],
    "expand_as": [of(tensor(1, 3), M)],
    "broadcast_tensors": [of(M, tensor(3)), of(tensor(2, 1), tensor(1, 3))],
    "meshgrid": [of(tensor(2), tensor(3)), of(tensor(2), tensor(3), indexing="xy")],
    "positive": [of(M)],
    "broadcast_to": [of(tensor(1, 3), (2, 3))],
    "diagonal": [of(CUBE, 1, 0, 2), of(CUBE, offset=-1)],
    "narrow": [of(CUBE, 1, 1, 2)],
    "select": [of(CUBE, 1, 2)],
    "split": [of(CUBE, 2, 1), of(CUBE, [1, 2], 1), of(CUBE, [1, 1], dim=0)],
    "chunk": [of(CUBE, 2, 1)],
    "unbind": [of(CUBE, 1)],
    "tensor_split": [of(CUBE, 2, 1), of(CUBE, [1, 2], 1)],
    "hsplit": [of(CUBE, [1, 2])],
    "vsplit": [of(CUBE, 2)],
    "dsplit": [of(CUBE, 2), of(CUBE, [1, 3])],
    "split_with_sizes": [of(CUBE, [1, 2], 1)],
    "unsafe_split": [of(CUBE, 2, 1)],
    "unsafe_split_with_sizes": [of(CUBE, [1, 2], 1)],
    "unsafe_chunk": [of(CUBE, 2, 1)],
    "ravel": [of(CUBE)],
    "unfold": [of(CUBE, 1, 2, 1)],
    **{name: [of(M)] for name in ("alias_copy", "atleast_2d", "atleast_3d", "diagonal_copy", "squeeze_copy", "t_copy")},
    "cartesian_prod": [of(tensor(2), tensor(3))],
    "expand_copy": [of(tensor(1, 3), (2, 3))],
    "narrow_copy": [of(CUBE, 1, 1, 2)],
    "permute_copy": [of(CUBE, (2, 0, 1))],
    "select_copy": [of(CUBE, 1, 2)],
    "split_copy": [of(CUBE, 2, 1)],
    "split_with_sizes_copy": [of(CUBE, [1, 2], 1)],
    "transpose_copy": [of(CUBE, 0, 2)],
    "unbind_copy": [of(CUBE, 1)],
    "unfold_copy": [of(CUBE, 1, 2, 1)],
    "unsqueeze_copy": [of(M, 1)],
    "view_copy": [of(M, (3, 2))],
}

FUNCTIONS: dict[str, list[Call]] = {
    "affine_grid_generator": [of(tensor(2, 2, 3), (2, 3, 4, 5), False)],
    "constant_pad_nd": [of(M, (1, 2), 0.5), of(CUBE, [1, 0, 0, 2])],
    **{name: [of(IMAGES, tensor(2, 3, 3, 2), 0, 1, False)] for name in ("grid_sampler", "grid_sampler_2d")},
    "grid_sampler_3d": [of(VOLUMES, tensor(1, 2, 3, 2, 3), 1, 2, True)],
    "max_pool2d_with_indices_backward": [
        of(tensor(1, 2, 2), tensor(1, 4, 4), 2, 2, 0, 1, False, tensor(1, 2, 2, dtype="int64"))
    ],
    **{name: [of(tensor(12), (2, 3), (1, 2), 1)] for name in ("as_strided", "as_strided_copy")},
    "as_strided_scatter": [of(tensor(12), M, (2, 3), (1, 2), 1)],
    "empty_strided": [of((2, 3), (1, 2)), of((2,), (1,), dtype="int32")],
    "empty_permuted": [of((2, 3), (1, 0)), of((2,), (0,), dtype="int32")],
    "scalar_tensor": [of(2.0), of(3, dtype="int32")],
    "randint_like": [of(M, 5), of(M, 1, 5, dtype="int32")],
    **{name: [of(M, M), of(M, 2.0)] for name in ("igamma", "igammac")},
    **{f"special.{name}": [of(M, tensor(3))] for name in ("gammainc", "gammaincc")},
    "special.airy_ai": [of(M)],
    "native_layer_norm": [of(M, (3,), tensor(3), tensor(3), 1e-5)],
    "native_batch_norm": [of(CUBE, tensor(3), tensor(3), tensor(3), tensor(3), True, 0.1, 1e-5)],
    "native_group_norm": [of(CUBE, tensor(3), tensor(3), 2, 3, 4, 1, 1e-5)],
    "i0_": [of(M)],
    "index_put_": [of(M, (tensor(2, dtype="int64"),), tensor(3))],
    "histogramdd": [of(tensor(4, 2), [2, 3], density=True), of(tensor(4, 2), 2, range=[0.0, 1.0, 0.0, 2.0])],
    "native_channel_shuffle": [of(IMAGES, 2)],
    **{name: [of(5, 3, 1), of(2, 2, dtype="int32")] for name in ("tril_indices", "triu_indices")},
    **{name: [of(M), of(tensor(2, dtype="complex64"))] for name in ("conj", "real", "resolve_conj", "resolve_neg")},
    **{name: [of(M)] for name in ("is_conj", "is_neg")},
    **{f"{name}_window": [of(5), of(4, False)] for name in ("bartlett", "blackman", "hamming", "hann", "kaiser")},
    **{
        f"signal.windows.{name}": [of(5), of(4, sym=False)]
        for name in (
            "bartlett",
            "blackman",
            "cosine",
            "exponential",
            "gaussian",
            "general_hamming",
            "hamming",
            "hann",
            "kaiser",
            "nuttall",
        )
    },
    **{f"{name}_lowrank": [of(tensor(4, 3), 2), of(tensor(2, 3, 4), q=1, niter=1)] for name in ("pca", "svd")},
    "signal.windows.general_cosine": [of(5, a=[0.5, 0.25])],
    **{f"fft.{name}": [of(5), of(4, 0.5)] for name in ("fftfreq", "rfftfreq")},
    "allclose": [of(M, tensor(2, 3), 1e-5, 1e-8), of(M, M, rtol=0.1, equal_nan=True)],
    "equal": [of(M, M)],
    "arange": [of(5), of(1, 5, 2), of(0.0, 1.0, 0.25, dtype="float16")],
    "linspace": [of(0, 1, 5), of(0.0, 2.0, steps=3, dtype="int64")],
    "logspace": [of(0, 1, 5, 2.0)],
    "eye": [of(3), of(2, 3)],
    "full": [of((2, 3), 1.5), of((2,), 1, dtype="int8")],
    "full_like": [of(M, 2), of(M, 2.0, dtype="int32")],
    **{name: [of(2, 3), of((2, 3)), of(2, dtype="int32")] for name in ("zeros", "ones", "empty")},
    **{name: [of(M), of(M, dtype="int32")] for name in ("zeros_like", "ones_like", "empty_like")},
    **{name: [of(M), of(M, dtype="float16")] for name in ("rand_like", "randn_like")},
    **{name: [of(2, 3), of((2,), dtype="float16")] for name in ("rand", "randn")},
    "randint": [of(5, (2, 3)), of(1, 5, (2,)), of(low=0, high=3, size=(2,))],
    "randperm": [of(5)],
    "permutation": [of(5), of(M)],
    "normal": [of(0.0, 1.0, (2, 3)), of(M, M)],
    "uniform": [of(0.0, 1.0, (2, 3))],
    "bernoulli": [of(tensor(2, 3, high=2))],
    "multinomial": [of(tensor(2, 3, low=1), 2), of(tensor(3, low=1), 4, True)],
    "tensor": [of([1.0, 2.0]), of([[1, 2], [3, 4]], dtype="float16"), of(3, requires_grad=False)],
    "as_tensor": [of([1.0, 2.0]), of(M, dtype="int32")],
    "from_dlpack": [of(M)],
    "asarray": [of([1.0, 2.0]), of(M, dtype="int32")],
    "frombuffer": [of(b"12345678", dtype="int32"), of(b"1234", dtype="uint8", count=2, offset=1)],
    "from_numpy": [of(np.ones((2, 3), np.float32))],
    "manual_seed": [of(0)],
    "is_tensor": [of(M)],
    "clone": [of(M)],
    **{name: [of(M)] for name in ("is_complex", "is_floating_point", "is_signed", "numel")},
    "is_nonzero": [of(tensor(1))],
    "is_same_size": [of(M, M)],
    "broadcast_shapes": [of((2, 1), (3,)), of((2, 3), 3)],
    "result_type": [of(M, 2), of(M, tensor(2, dtype="int32"))],
    "promote_types": [of("int32", "float16")],
    "can_cast": [of("int32", "float16")],
    "finfo": [of("float16")],
    "iinfo": [of("int8")],
    "set_rng_state": [of(tensor(2, dtype="uint32"))],
    "set_printoptions": [of(4, profile="default")],
    "atleast_1d": [of(M), of(tensor()), of(M, tensor())],
    **{
        f"{name}Tensor": [of([1, 2]), of(2, 3)]
        for name in ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")
    },
}

METHODS: dict[str, list[Call]] = {
    "__getitem__": [of(CUBE, 1), of(CUBE, (0, slice(1, 2))), of(CUBE, (..., None, tensor(2, dtype="int64")))],
    "__setitem__": [of(CUBE, 1, 2.0), of(CUBE, (0, slice(1, 2)), tensor(4)), of(CUBE, tensor(2, dtype="int64"), CUBE)],
    **{f"__{name}__": [of(M, M), of(M, tensor(3)), of(M, 2)] for name in ("add", "sub", "mul", "truediv", "pow")},
    **{f"__{name}__": [of(M, M), of(M, tensor(3)), of(M, 2)] for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    **{f"__r{name}__": [of(M, tensor(3)), of(M, 2)] for name in ("sub", "truediv", "pow", "mod", "floordiv")},
    **{f"__i{name}__": [of(M, tensor(3)), of(M, 2)] for name in ("add", "sub", "mul", "truediv")},
    **{f"__{name}__": [of(M, tensor(3)), of(M, 2)] for name in ("mod", "floordiv")},
    **{
        f"__{name}__": [of(tensor(2, 3, dtype="int32"), tensor(3, dtype="int32"))]
        for name in ("and", "or", "xor", "lshift", "rshift")
    },
    "__matmul__": [of(M, tensor(3, 2)), of(M, tensor(3))],
    "__rmatmul__": [of(M, tensor(4, 2))],
    "__neg__": [of(M)],
    "__invert__": [of(tensor(2, 3, dtype="int32"))],
    **{name: [of(M, tensor(3)), of(M, 2.0)] for name in ("add_", "sub_", "mul_", "div_", "pow_")},
    "add_ ": [of(M, tensor(3), alpha=2)],
    "clamp_": [of(M, 0.0, 1.0), of(M, tensor(3), None)],
    "copy_": [of(M, tensor(3))],
    "fill_": [of(M, 1.0)],
    "lerp_": [of(M, M, 0.5), of(M, M, M)],
    "masked_fill_": [of(M, tensor(2, 3, dtype="bool"), 1.0)],
    **{name: [of(M)] for name in ("exp_", "neg_", "sqrt_", "zero_", "tolist", "double", "contiguous", "cpu")},
    **{name: [of(M)] for name in ("byte", "char", "cfloat")},
    "new_empty_strided": [of(M, (2, 3), (1, 2))],
    "__rdiv__": [of(M, tensor(3)), of(M, 2)],
    "normal_": [of(M, 0.0, 1.0)],
    "uniform_": [of(M, 0.0, 1.0)],
    "log_normal_": [of(M, 1.0, 2.0)],
    "exponential_": [of(M, 1.0)],
    "cauchy_": [of(M, 0.0, 1.0)],
    "geometric_": [of(M, 0.5)],
    "bernoulli_": [of(M, 0.5), of(M, tensor(2, 3, high=1))],
    "random_": [of(M, 5), of(M, 1, 5), of(M)],
    "bernoulli": [of(tensor(2, 3, high=2)), of(M, 0.5)],
    "multinomial": [of(tensor(2, 3, low=1), 2)],
    "stride": [of(M), of(M, 1)],
    **{name: [of(M, M)] for name in ("is_same_size", "is_set_to")},
    **{
        name: [of(M)]
        for name in ("get_device", "is_complex", "is_signed", "pin_memory", "share_memory_", "storage_offset")
    },
    "is_nonzero": [of(tensor(1))],
    "item": [of(tensor(1))],
    "backward": [of(M, M)],
    "new_empty": [of(M, (2, 3))],
    "new_full": [of(M, (2, 3), 1.0)],
    "new_ones": [of(M, (2, 3)), of(M, (2,), dtype="int32")],
    "new_tensor": [of(M, [1, 2])],
    "new_zeros": [of(M, (2, 3))],
    "requires_grad_": [of(M, True)],
    "size": [of(M, 1)],
    "to": [of(M, "float16"), of(M, "cpu"), of(M, M)],
    "type": [of(M, "int32")],
    "type_as": [of(M, tensor(2, dtype="int32"))],
    "astype": [of(M, "int32")],
    "where": [of(M, tensor(2, 3, dtype="bool"), M)],
    **VIEWS,
}

FUNCTIONAL: dict[str, list[Call]] = {
    "batch_norm": [
        of(IMAGES, tensor(4), tensor(4, low=1), tensor(4), tensor(4), True),
        of(IMAGES, tensor(4), tensor(4, low=1), training=False, momentum=0.2),
    ],
    "embedding": [of(tensor(2, 2, dtype="int64"), tensor(5, 3), 1)],
    "dropout": [of(M, 0.5, True)],
    "dropout2d": [of(IMAGES, 0.5, True)],
    "dropout1d": [of(ROWS, 0.5, True)],
    "dropout3d": [of(VOLUMES, 0.5, True)],
    "alpha_dropout": [of(M, 0.5, True)],
    "feature_alpha_dropout": [of(CUBE, 0.5, True)],
    "instance_norm": [of(IMAGES, tensor(4), tensor(4, low=1), tensor(4), tensor(4), True)],
    "grid_sample": [of(IMAGES, tensor(2, 3, 3, 2), "bilinear", "zeros", False)],
    "affine_grid": [of(tensor(2, 2, 3), (2, 3, 4, 5), False)],
    "fractional_max_pool2d": [of(IMAGES, 2, 3), of(IMAGES, 2, output_ratio=0.5, return_indices=True)],
    "fractional_max_pool3d": [of(VOLUMES, 2, 2)],
    "max_unpool1d": [of(tensor(1, 2, 2), tensor(1, 2, 2, dtype="int64"), 2)],
    "max_unpool2d": [of(tensor(1, 2, 2), tensor(1, 2, 2, dtype="int64"), 2, 2, 0)],
    "max_unpool3d": [of(tensor(1, 2, 2, 2), tensor(1, 2, 2, 2, dtype="int64"), 2)],
    "upsample": [of(IMAGES, 7), of(IMAGES, scale_factor=2.0, mode="bilinear")],
    "upsample_nearest": [of(IMAGES, (3, 4))],
    "upsample_bilinear": [of(IMAGES, (3, 4))],
    "drop_path": [of(M, 0.5, True)],
    "global_response_norm": [of(IMAGES, tensor(5), tensor(5))],
    **{name: [of(M, 1), of(M, dim=0, dtype="float16")] for name in ("softmax", "log_softmax", "softmin")},
    **{name: [of(M)] for name in ("celu_", "elu_", "hardtanh_", "leaky_relu_", "relu_", "selu_")},
    "threshold_": [of(M, 1.0, 0.0)],
    "embedding_bag": [
        of(tensor(4, dtype="int64"), tensor(5, 3), tensor(2, dtype="int64"), mode="max", padding_idx=1),
        of(tensor(2, 2, dtype="int64"), tensor(5, 3), None, 1.0, 2.0, False, "sum", per_sample_weights=tensor(2, 2)),
    ],
    "scaled_dot_product_attention": [
        of(CUBE, CUBE, CUBE, tensor(3, 3, dtype="bool"), 0.0, False, 0.5),
        of(CUBE, CUBE, CUBE, dropout_p=0.5, is_causal=True, enable_gqa=False),
    ],
    "multi_head_attention_forward": [
        of(
            CUBE,
            CUBE,
            CUBE,
            4,
            2,
            tensor(12, 4),
            tensor(12),
            None,
            None,
            False,
            0.0,
            tensor(4, 4),
            tensor(4),
            key_padding_mask=tensor(3, 2, dtype="bool", high=1),
            attn_mask=tensor(2, 2),
        ),
    ],
    "rrelu": [of(M, 0.1, 0.3, True)],
    "rrelu_": [of(M, 0.1, 0.3)],
    "gumbel_softmax": [of(M, 0.5, True, dim=1)],
    "ctc_loss": [
        of(tensor(4, 2, 3), tensor(2, 2, dtype="int64"), (4, 3), (2, 1)),
        of(CUBE, tensor(3, dtype="int64"), tensor(3, dtype="int64"), tensor(3, dtype="int64"), 3),
    ],
    "triplet_margin_loss": [of(M, M, M, 1.0, 2.0, 1e-6, True), of(M, M, M, reduction="none")],
    "triplet_margin_with_distance_loss": [of(M, M, M, margin=0.5, swap=True)],
    "linear_cross_entropy": [of(M, tensor(4, 3), tensor(2, dtype="int64"), linear_bias=tensor(4), reduction="sum")],
    "gaussian_nll_loss": [of(M, M, tensor(2, 3, low=1), True), of(M, M, 1.0)],
    **{
        f"{kind}max_pool{dims}d_with_indices": [of(inputs, 2)]
        for kind in ("", "adaptive_")
        for dims, inputs in ((1, ROWS), (2, IMAGES), (3, VOLUMES))
    },
    "fractional_max_pool2d_with_indices": [of(IMAGES, 2, 2)],
    "fractional_max_pool3d_with_indices": [of(VOLUMES, 2, 2)],
}

LABELS = tensor(2, dtype="int64")
SIGNS = tensor(2, 3, low=-1, high=0)
LAYERS: dict[str, list[tuple[Call, tuple[Given, ...]]]] = {
    "AdaptiveAvgPool2d": [(of(2), (IMAGES,)), (of((2, None)), (IMAGES,))],
    **{
        f"{kind}{dims}d": [(of(*args), (inputs,)), (of(*args[:1], **options), (inputs,))]
        for dims, inputs in ((1, ROWS), (2, IMAGES), (3, VOLUMES))
        for kind, args, options in (
            ("AdaptiveMaxPool", (2,), {"return_indices": True}),
            ("AvgPool", (2, 1, 1), {"ceil_mode": True, "count_include_pad": False}),
            ("LPPool", (2, 2, 1), {"kernel_size": (2,) * dims}),
            ("MaxPool", (2, 1, 1), {"dilation": 1, "ceil_mode": True, "return_indices": True}),
        )
    },
    "AdaptiveAvgPool1d": [(of(2), (ROWS,))],
    "AdaptiveAvgPool3d": [(of((2, None, 1)), (VOLUMES,))],
    "BatchNorm1d": [(of(4, 1e-5, 0.1), (ROWS,)), (of(3), (M,))],
    "BatchNorm2d": [(of(4, momentum=None, affine=False), (IMAGES,)), (of(4), (IMAGES,))],
    "Conv1d": [(of(4, 6, 3, 1, 1, 1, 2), (ROWS,)), (of(4, 2, (3,), padding="same"), (ROWS,))],
    "Conv2d": [(of(4, 6, 3, 2, 1, 1, 2), (IMAGES,)), (of(4, 4, (3, 2), padding=(1, 0), bias=False), (IMAGES,))],
    "Conv3d": [(of(4, 6, 3, 2, 1, 1, 2), (VOLUMES,))],
    "ConvTranspose3d": [(of(4, 6, 3, 2, 1, 1, 2), (VOLUMES,))],
    "ConvTranspose1d": [(of(4, 6, 3, 2, 1, 1, 2), (ROWS,))],
    "ConvTranspose2d": [(of(4, 6, 3, 2, 1, 1, 2), (IMAGES,))],
    "LinearCrossEntropyLoss": [(of(3, 4, bias=True), (M, LABELS))],
    "CrossEntropyLoss": [(of(label_smoothing=0.1), (M, LABELS)), (of(tensor(3)), (M, M))],
    "NLLLoss": [(of(ignore_index=1, reduction="sum"), (M, LABELS)), (of(tensor(3)), (M, LABELS))],
    **{
        name: [(of(reduction="sum"), (M, M))]
        for name in ("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "KLDivLoss", "BCEWithLogitsLoss")
    },
    "BCELoss": [(of(), (tensor(2, 3, high=2), tensor(2, 3, high=2)))],
    "Dropout": [(of(0.5), (M,))],
    "Dropout2d": [(of(0.5), (IMAGES,))],
    "Dropout1d": [(of(0.5), (ROWS,))],
    "Dropout3d": [(of(0.5), (VOLUMES,))],
    "AlphaDropout": [(of(0.5), (M,))],
    "FeatureAlphaDropout": [(of(0.5), (CUBE,))],
    **{
        f"{kind}Pad{dims}d": [(of(1, *value), (inputs,)), (of((1, 0) * dims, *value), (inputs,))]
        for dims, inputs in ((1, ROWS), (2, IMAGES), (3, VOLUMES))
        for kind, value in (
            ("Circular", ()), ("Constant", (0.5,)), ("Reflection", ()), ("Replication", ()), ("Zero", ())
        )
    },
    "BatchNorm3d": [(of(4, 1e-5, 0.1), (VOLUMES,))],
    "SyncBatchNorm": [(of(4, 1e-5, 0.1), (IMAGES,)), (of(3), (M,))],
    "InstanceNorm1d": [(of(4, 1e-5, 0.1, True, True), (ROWS,))],
    "InstanceNorm2d": [(of(4, affine=True), (IMAGES,))],
    "InstanceNorm3d": [(of(4), (VOLUMES,))],
    "LazyLinear": [(of(4), (M,))],
    **{
        f"Lazy{kind}{dims}d": [(args, (inputs,))]
        for dims, inputs in ((1, ROWS), (2, IMAGES), (3, VOLUMES))
        for kind, args in (
            ("BatchNorm", of(1e-5, 0.1)),
            ("Conv", of(6, 3, 2, 1, 1, 2)),
            ("ConvTranspose", of(6, 3, 2, 1, 1, 2)),
            ("InstanceNorm", of(1e-5, 0.1, True, True)),
        )
    },
    "LocalResponseNorm": [(of(2, 1e-4, 0.75, 1.0), (IMAGES,))],
    "CrossMapLRN2d": [(of(3, 1e-4, 0.75, 1.0), (IMAGES,))],
    **{
        f"MaxUnpool{dims}d": [(of(2, 2, 0), (tensor(1, *(2,) * dims), tensor(1, *(2,) * dims, dtype="int64")))]
        for dims in (1, 2, 3)
    },
    "FractionalMaxPool2d": [(of(2, 3), (IMAGES,)), (of(2, output_ratio=0.5, return_indices=True), (IMAGES,))],
    "FractionalMaxPool3d": [(of(2, 2), (VOLUMES,))],
    "Bilinear": [(of(3, 4, 2), (M, tensor(2, 4)))],
    "CosineSimilarity": [(of(1, 1e-8), (M, M))],
    "PairwiseDistance": [(of(2.0, 1e-6, True), (M, M))],
    "PixelShuffle": [(of(2), (IMAGES,))],
    "PixelUnshuffle": [(of(2), (tensor(1, 2, 4, 4),))],
    "ChannelShuffle": [(of(2), (IMAGES,))],
    "Unfold": [(of(2, 1, 1, 2), (IMAGES,))],
    "Fold": [(of((4, 4), 2, 1, 0, 2), (tensor(2, 8, 4),))],
    "UpsamplingNearest2d": [(of(7), (IMAGES,)), (of(scale_factor=2), (IMAGES,))],
    "UpsamplingBilinear2d": [(of((3, 7)), (IMAGES,))],
    "DropPath": [(of(0.5), (M,))],
    "Embedding": [(of(5, 3, 1), (LABELS,)), (of(5, 3), (tensor(2, 2, dtype="int32"),))],
    "Flatten": [(of(1, 2), (CUBE,))],
    "Unflatten": [(of(1, (2, 3)), (tensor(2, 6),))],
    "GroupNorm": [(of(2, 4, 1e-5), (IMAGES,))],
    "LayerNorm": [(of((3, 4), 1e-5), (CUBE,)), (of(3), (M,))],
    "RMSNorm": [(of(3), (M,))],
    "GlobalResponseNorm": [(of(5), (IMAGES,))],
    "QuantizedLinear": [(of(32, 4, group_size=32), (tensor(2, 32),)), (of(64, 2, False, 4), (tensor(64),))],
    "Linear": [(of(3, 4), (M,)), (of(4, 2, bias=False), (CUBE,))],
    "Upsample": [(of(scale_factor=2, mode="bilinear"), (IMAGES,)), (of((3, 4)), (IMAGES,)), (of(7), (ROWS,))],
    "Softmax": [(of(1), (M,))],
    "Softmin": [(of(1), (M,))],
    "MultiheadAttention": [(of(4, 2, 0.0, batch_first=True), (CUBE, CUBE, CUBE)), (of(4, 2), (CUBE, CUBE, CUBE))],
    "TransformerEncoderLayer": [(of(4, 2, 6, 0.0, "gelu"), (CUBE,))],
    "TransformerDecoderLayer": [(of(4, 2, 6, norm_first=True), (CUBE, CUBE))],
    "Transformer": [(of(4, 2, 1, 1, 6, 0.0), (CUBE, CUBE))],
    "RNN": [(of(4, 3, 2, "relu"), (CUBE,)), (of(4, 3, batch_first=True), (CUBE, tensor(1, 2, 3)))],
    "LSTM": [(of(4, 3, 2, proj_size=2, bidirectional=True), (CUBE,))],
    "GRU": [(of(4, 3, 2, bidirectional=True), (CUBE, tensor(4, 3, 3)))],
    "RNNCell": [(of(3, 4, True, "relu"), (M, tensor(2, 4)))],
    "LSTMCell": [(of(3, 4), (M,))],
    "GRUCell": [(of(3, 4), (M, tensor(2, 4)))],
    "EmbeddingBag": [(of(5, 3, mode="mean"), (tensor(4, dtype="int64"), tensor(2, dtype="int64")))],
    "AdaptiveLogSoftmaxWithLoss": [(of(4, 6, [2, 4]), (tensor(3, 4), tensor(3, dtype="int64")))],
    "Softmax2d": [(of(), (IMAGES,))],
    "PReLU": [(of(4, 0.1), (IMAGES,)), (of(), (M,))],
    "RReLU": [(of(0.1, 0.2), (M,))],
    "CELU": [(of(0.5), (M,))],
    "GLU": [(of(1), (tensor(2, 4),))],
    "Hardtanh": [(of(-1.0, 1.0), (M,))],
    "Threshold": [(of(0.5, 1.0), (M,))],
    "Hardshrink": [(of(0.5), (M,))],
    "Softshrink": [(of(0.5), (M,))],
    "MarginRankingLoss": [(of(0.5), (M, M, SIGNS))],
    "CosineEmbeddingLoss": [(of(0.5), (M, M, tensor(2, low=1, high=1)))],
    "HingeEmbeddingLoss": [(of(0.5), (M, SIGNS))],
    "SoftMarginLoss": [(of(reduction="sum"), (M, SIGNS))],
    "MultiMarginLoss": [(of(2, 0.5, tensor(3)), (M, LABELS))],
    "MultiLabelMarginLoss": [(of(), (M, tensor(2, 3, dtype="int64")))],
    "MultiLabelSoftMarginLoss": [(of(tensor(3)), (M, M))],
    "TripletMarginLoss": [(of(0.5, 2.0, 1e-6, True), (M, M, M))],
    "TripletMarginWithDistanceLoss": [(of(margin=0.5, swap=True), (M, M, M))],
    "PoissonNLLLoss": [(of(True, True), (M, M))],
    "GaussianNLLLoss": [(of(full=True), (M, M, tensor(2, 3, low=1)))],
    "CTCLoss": [(of(0, "sum"), (tensor(4, 2, 3), tensor(2, 2, dtype="int64"), (4, 3), (2, 1)))],
    "NLLLoss2d": [(of(), (M, LABELS))],
    "LogSoftmax": [(of(dim=1), (M,))],
    "ELU": [(of(0.5), (M,))],
    "GELU": [(of("tanh"), (M,))],
    "LeakyReLU": [(of(0.1), (M,))],
    "Softplus": [(of(1.0, 20.0), (M,))],
    **{
        name: [(of(), (M,))]
        for name in (
            "Hardsigmoid", "Hardswish", "Identity", "LogSigmoid", "Mish", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid",
            "Softsign", "Tanh", "Tanhshrink",
        )
    },
}  # fmt: skip
CONTAINERS = {
    "Buffer",
    "Container",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "RNNBase",
    "RNNCellBase",
    "Sequential",
    "TransformerDecoder",
    "TransformerEncoder",
    "attention",
    "UninitializedBuffer",
    "UninitializedParameter",
}

INIT: dict[str, list[Call]] = {
    "calculate_gain": [of("leaky_relu", 0.1)],
    "constant_": [of(M, 1.0)],
    "zeros_": [of(M)],
    "ones_": [of(M)],
    "eye_": [of(M)],
    "dirac_": [of(tensor(4, 2, 3), 2)],
    "uniform_": [of(M, 0.0, 1.0)],
    "normal_": [of(M, 0.0, 1.0)],
    "trunc_normal_": [of(M, 0.0, 1.0, -2.0, 2.0)],
    "xavier_uniform_": [of(M, 1.0)],
    "xavier_normal_": [of(M, 1.0)],
    "kaiming_uniform_": [of(M, 0.0, "fan_in", "leaky_relu")],
    "kaiming_normal_": [of(M, 0.0, "fan_out", "relu")],
    "orthogonal_": [of(M, 1.0)],
}
UTILS: dict[str, list[Call]] = {
    "get_total_norm": [of([M, M], 2.0)],
    "clip_grad_norm_": [of([M, M], 1.0, 2.0, False)],
    "clip_grad_value_": [of([M, M], 1.0)],
    "parameters_to_vector": [of([M, CUBE])],
    "vector_to_parameters": [of(tensor(9), [M, tensor(3)])],
}

PARAMS = [M, tensor(3)]
OPTIMIZERS: dict[str, list[Call]] = {
    "ASGD": [of(PARAMS, 1e-2, 1e-4, 0.75, 2.0, 0.1), of(PARAMS, maximize=True)],
    "Adadelta": [of(PARAMS, 1.0, 0.9, 1e-6, 0.1), of(PARAMS, maximize=True)],
    "Adafactor": [of(PARAMS, 1e-2, -0.8, (None, 1e-3), 1.0, 0.1), of(PARAMS, maximize=True)],
    "Adagrad": [of(PARAMS, 1e-2, 0.1, 0.1, 0.1, 1e-10), of(PARAMS, foreach=False)],
    "Adam": [of(PARAMS, 1e-3, (0.9, 0.99), 1e-8, 0.1, True), of(PARAMS, capturable=True)],
    "AdamW": [of(PARAMS, 1e-3, (0.9, 0.99), 1e-8, 0.1, False), of(PARAMS, tensor(1))],
    "Adamax": [of(PARAMS, 1e-3, (0.9, 0.99), 1e-8, 0.1), of(PARAMS, maximize=True)],
    "Lion": [of(PARAMS, 1e-3, (0.9, 0.99), 0.1)],
    "Muon": [of([M], 1e-3)],
    "NAdam": [of(PARAMS, 1e-3, (0.9, 0.99), 1e-8, 0.1, 4e-3, True), of(PARAMS, maximize=True)],
    "RAdam": [of(PARAMS, 1e-3, (0.9, 0.99), 1e-8, 0.1, True), of(PARAMS, maximize=True)],
    "RMSprop": [of(PARAMS, 1e-2, 0.9, 1e-8, 0.1, 0.9, True)],
    "Rprop": [of(PARAMS, 1e-2, (0.5, 1.2), (1e-6, 50))],
    "SGD": [of(PARAMS, 0.1, 0.9, 0.0, 0.1, True), of([{"params": [M], "lr": 0.1}], lr=0.2)],
    "SparseAdam": [of(PARAMS, 1e-3, (0.9, 0.99), 1e-8, True)],
}
SCHEDULES: dict[str, list[Call]] = {
    "ConstantLR": [of(0.5, 2)],
    "CosineAnnealingLR": [of(3, 0.01)],
    "CosineAnnealingWarmRestarts": [of(2, 2, 0.01)],
    "CyclicLR": [of(0.1, 0.2, 3), of(0.1, 0.2, mode="exp_range", gamma=0.9, base_momentum=0.8)],
    "ExponentialLR": [of(0.5)],
    "LambdaLR": [of(abs)],
    "LinearLR": [of(0.5, 1.0, 2)],
    "MultiStepLR": [of([1, 2], 0.1)],
    "MultiplicativeLR": [of(abs)],
    "OneCycleLR": [of(0.1, 5), of(0.1, epochs=2, steps_per_epoch=3, pct_start=0.5, base_momentum=0.8)],
    "PolynomialLR": [of(3, 2.0)],
    "ReduceLROnPlateau": [of("min", 0.1, 1, 1e-4, "rel", 0, 0.0, 1e-8)],
    "StepLR": [of(2, 0.1)],
    "LRScheduler": [],
    "SequentialLR": [],
    "ChainedScheduler": [],
}

# What is no operation: context managers, files, settings; they have tests of their own.
OTHER = {
    "Generator", "Size", "Tensor", "autocast", "compile", "debug", "dequantize", "device", "enable_grad",
    "get_default_device", "quantize",
    "get_default_dtype", "get_rng_state", "inference_mode", "initial_seed", "is_autocast_enabled", "is_grad_enabled",
    "layout", "load", "memory_format", "no_grad", "profile", "save", "seed", "set_default_device", "set_default_dtype",
    "is_inference_mode_enabled", "set_default_tensor_type", "set_grad_enabled", "summary", "vmap",
}  # fmt: skip


def _layer(cls: Any) -> Callable[..., Any]:
    def run(*args: Any, inputs_: tuple[Any, ...] = (), **kwargs: Any) -> Any:
        return cls(*args, **kwargs)(*inputs_)

    return run


def _optimizer(cls: Any) -> Callable[..., Any]:
    def run(params: Any, *args: Any, **kwargs: Any) -> Any:
        made = cls(params, *args, **kwargs)
        tensors = [p for group in made.param_groups for p in group["params"]]
        for step in range(2):
            for p in tensors:
                p.grad = lucid.full_like(p, 0.5 + step)
            made.step()
        return tensors, made.state_tensors()

    return run


def _schedule(cls: Any) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        parameter = lucid.ones(2)
        optimizer = optim.SGD([parameter], lr=0.1, momentum=0.9)
        schedule = cls(optimizer, *args, **kwargs)
        for step in range(3):
            parameter.grad = lucid.ones(2)
            optimizer.step()
            schedule.step(*([1.0 / (step + 1)] if "Plateau" in cls.__name__ else []))
        return parameter, optimizer.state_tensors()

    return run


def _backward(function: Callable[..., Any]) -> Callable[..., Any]:
    """``Tensor.backward`` is called on a result that requires a gradient."""

    def run(input: Any, *args: Any, **kwargs: Any) -> Any:
        x = input.detach().requires_grad_()
        function(x * 2, *args, **kwargs)
        return x.grad

    return run


def _is_accepted(function: Callable[..., Any], call: Call) -> bool:
    """Whether the call works: an operation in place takes fewer than the operation whose calls were captured."""
    try:
        function(*made(call[0]), **made(call[1]))
    except (RuntimeError, TypeError, ValueError):
        return False
    return True


def _bodies(module: Any, names: Any) -> dict[str, Callable[..., Any]]:
    return {name: getattr(module, name) for name in names if callable(getattr(module, name))}


def targets() -> dict[str, tuple[Callable[..., Any], list[Call]]]:
    """Every public function, method, layer, loss, optimizer and schedule by name, with correct calls of it."""
    known = captured()
    found: dict[str, tuple[Callable[..., Any], list[Call]]] = {}

    def add(name: str, function: Callable[..., Any], seeds: list[Call], on_tensor: bool = False) -> None:
        calls = list(seeds)
        body: Any = function
        if re.fullmatch(r"Tensor\.__r(?!shift)\w+__", name):
            body = None  # its operands change places, so that the divisor could be 0
        while body is not None:
            calls += known.get(body, [])
            body = getattr(body, "__wrapped__", None)
        if on_tensor:
            calls = [call for call in calls if call[0] and isinstance(call[0][0], Given)]
            if name.endswith("_"):
                calls = [call for call in calls if _is_accepted(function, call)]
        if calls:
            found[name] = function, calls

    for name, function in _bodies(lucid, lucid.__all__).items():
        seeds = VIEWS.get(name, FUNCTIONS.get(name, []))
        add(f"lucid.{name}", function, seeds, on_tensor=name in _late.IN_PLACE)
    for name, function in _bodies(F, F.__all__).items():
        add(f"functional.{name}", function, FUNCTIONAL.get(name, []))
    for module in (lucid.linalg, lucid.fft, lucid.signal.windows):
        for name, function in _bodies(module, module.__all__).items():
            if name != "LinAlgError":
                short = module.__name__.removeprefix("lucid.")
                add(f"{short}.{name}", function, FUNCTIONS.get(f"{short}.{name}", []))
    for name in dir(lucid.Tensor):
        function = getattr(lucid.Tensor, name)
        if callable(function) and (name[0] != "_" or name in METHODS):
            run = _backward(function) if name == "backward" else function
            add(f"Tensor.{name}", run, METHODS.get(name, []), on_tensor=True)
    for name, seeds in INIT.items():
        add(f"init.{name}", getattr(nn.init, name), seeds)
    for name, seeds in UTILS.items():
        add(f"utils.{name}", getattr(nn.utils, name), seeds)
    for name, pairs in LAYERS.items():
        calls = [(args, {**kwargs, "inputs_": inputs}) for (args, kwargs), inputs in pairs]
        add(f"nn.{name}", _layer(getattr(nn, name)), calls)
    for name, seeds in OPTIMIZERS.items():
        add(f"optim.{name}", _optimizer(getattr(optim, name)), seeds)
    for name, seeds in SCHEDULES.items():
        add(f"lr_scheduler.{name}", _schedule(getattr(optim.lr_scheduler, name)), seeds)
    return found


def without_seeds() -> list[str]:
    """The public names that no call covers."""
    found = targets()
    names = [f"lucid.{name}" for name in _bodies(lucid, lucid.__all__) if name not in OTHER]
    names += [f"functional.{name}" for name in _bodies(F, F.__all__)]
    names += [f"nn.{name}" for name in _bodies(nn, nn.__all__) if name not in CONTAINERS]
    names += [f"optim.{name}" for name in optim.__all__ if isinstance(getattr(optim, name), type)]
    names += [f"lr_scheduler.{name}" for name in optim.lr_scheduler.__all__ if SCHEDULES.get(name, True)]
    return [name for name in names if name not in found and name not in ("optim.Optimizer", "optim.EMA", "optim.LBFGS")]
