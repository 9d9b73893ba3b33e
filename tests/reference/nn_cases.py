"""Modules to compare between PyTorch and Lucid with the same state, input and cotangent."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("nn.npz")
FAMILIES = ("nn_cases", "nn_spatial_cases", "nn_sequence_cases")  # files of cases, each with its own recorded values
STEPS = 20


@dataclass(frozen=True)
class ModuleCase:
    """A module, created by ``build(lib)``, and the arrays it is called with; integers have no gradient."""

    name: str
    build: Callable[[Any], Any]
    inputs: tuple[np.ndarray, ...]
    training: bool = True
    calls: int = 1

    def run(self, module: Any, make: Callable[[np.ndarray], Any]) -> dict[str, np.ndarray]:
        """Outputs and gradients of the last call, and the state afterwards. ``module`` is newly built."""
        module.load_state_dict({name: make(one) for name, one in self.start(module).items()})
        module.train(self.training)
        for call in range(self.calls):
            arguments = [make(one + 0.3 * call if one.dtype.kind == "f" else one) for one in self.inputs]
            leaves = [
                one.requires_grad_()
                for one, given in zip(arguments, self.inputs, strict=True)
                if given.dtype.kind == "f"
            ]
            y = module(*arguments)
        found = {"output": y}
        if y.requires_grad:
            y.backward(make(wave(tuple(y.shape), 0.7)))
            found |= {f"gradient of input {i}": one.grad for i, one in enumerate(leaves)}
            found |= {f"gradient of {name}": one.grad for name, one in module.named_parameters()}
        found |= {f"{name} afterwards": one for name, one in module.state_dict().items()}
        return {key: np.asarray(one.detach().numpy()) for key, one in found.items() if one is not None}

    @staticmethod
    def start(module: Any) -> dict[str, np.ndarray]:
        """Values for every name of the state dict."""
        start = {}
        for i, (name, tensor) in enumerate(module.state_dict().items()):
            if name.endswith("num_batches_tracked"):
                start[name] = np.array(0)
            else:
                values = wave(tuple(tensor.shape), 1.0 + i)
                start[name] = 1 + 0.5 * values if name.endswith("running_var") else values
        return start


def wave(shape: tuple[int, ...], phase: float) -> np.ndarray:
    return np.sin(1.7 * np.arange(int(np.prod(shape))) ** 1.1 + phase).reshape(shape).astype(np.float32)


def layer(
    word: str, *arguments: Any, inputs: Any, name: str = "", training: bool = True, calls: int = 1, **options: Any
) -> ModuleCase:
    """``lib.nn.<word>(*arguments, **options)``; ``inputs`` is a shape, or a list of shapes and arrays."""
    given = inputs if isinstance(inputs, list) else [inputs]
    arrays = tuple(one if isinstance(one, np.ndarray) else wave(one, 0.3 + i) for i, one in enumerate(given))
    shown = ", ".join([*map(str, arguments), *(f"{key}={value}" for key, value in options.items())])
    title = f"{word}({shown}){name and ' '}{name}{'' if training else ', evaluation'}"
    return ModuleCase(title, lambda lib: getattr(lib.nn, word)(*arguments, **options), arrays, training, calls)


def stages(lib: Any) -> Any:
    """Nested containers, for their names."""
    nn = lib.nn
    block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.LeakyReLU(0.2)),
            block=block,
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            head=nn.Linear(4, 3),
        )
    )


def convnet(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


def train(lib: Any, model: Any, make: Callable[[np.ndarray], Any]) -> np.ndarray:
    """The losses of twenty steps of ``lib.optim.SGD`` on sixteen images in three classes."""
    model.load_state_dict({name: make(0.3 * one) for name, one in ModuleCase.start(model).items()})
    optimizer = lib.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    criterion = lib.nn.CrossEntropyLoss(label_smoothing=0.1)
    images = np.sin(np.arange(16 * 2 * 8 * 8) * 0.37).reshape(16, 2, 8, 8).astype(np.float32)
    labels = np.arange(16) * 7 % 3
    images += labels[:, None, None, None].astype(np.float32)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = criterion(model(make(images)), make(labels))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


CASES = [
    layer("Linear", 5, 3, inputs=(4, 5)),
    layer("Linear", 5, 3, bias=False, inputs=(2, 4, 5)),
    layer("Linear", 1, 1, inputs=(1,)),
    layer("Embedding", 7, 3, inputs=[np.array([[0, 6], [3, 3]])]),
    layer("Embedding", 7, 3, padding_idx=-2, inputs=[np.array([5, 1, 5])]),
    layer("Embedding", 7, 3, None, 0.8, inputs=[np.array([5, 1, 5])]),
    layer("Embedding", 7, 3, 2, 1.5, 1.0, True, inputs=[np.array([[5, 1], [2, 5], [5, 0]])]),
    layer("Embedding", 4, 2, scale_grad_by_freq=True, inputs=[np.array([3, 3, 0, 3])]),
    layer("Identity", inputs=(2, 3)),
    layer("Conv1d", 4, 6, 3, inputs=(2, 4, 9)),
    layer("Conv1d", 4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False, inputs=(2, 4, 9)),
    layer("Conv1d", 2, 2, 4, padding="same", padding_mode="reflect", inputs=(1, 2, 9)),
    layer("Conv2d", 3, 4, 3, inputs=(2, 3, 5, 6)),
    layer("Conv2d", 4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, inputs=(1, 4, 6, 7)),
    layer("Conv2d", 4, 4, 3, padding=1, groups=4, inputs=(1, 4, 5, 5)),
    layer("Conv2d", 3, 2, 3, padding="same", inputs=(1, 3, 4, 5)),
    layer("Conv2d", 3, 2, 3, padding="valid", inputs=(3, 4, 5), name="without batch"),
    *(
        layer("Conv2d", 2, 3, (3, 2), padding=(2, 1), padding_mode=mode, inputs=(1, 2, 4, 5))
        for mode in ("zeros", "reflect", "replicate", "circular")
    ),
    layer("Conv2d", 2, 2, 4, padding="same", padding_mode="circular", dilation=2, inputs=(1, 2, 7, 8)),
    layer("Conv2d", 2, 2, 3, padding="valid", padding_mode="replicate", inputs=(1, 2, 4, 5)),
    layer("ConvTranspose1d", 4, 6, 3, stride=2, output_padding=1, groups=2, inputs=(2, 4, 5)),
    layer("ConvTranspose2d", 3, 4, 2, stride=2, inputs=(1, 3, 4, 3)),
    layer("ConvTranspose2d", 4, 2, 3, stride=(2, 3), padding=1, output_padding=(1, 2), groups=2, inputs=(1, 4, 3, 3)),
    layer("ConvTranspose2d", 2, 3, 3, 1, 1, 0, 1, False, 2, inputs=(1, 2, 4, 5)),
    layer("LayerNorm", 5, inputs=(2, 3, 5)),
    layer("LayerNorm", (3, 5), eps=0.1, inputs=(2, 3, 5)),
    layer("LayerNorm", [5], elementwise_affine=False, inputs=(2, 5)),
    layer("LayerNorm", 5, bias=False, inputs=(2, 5)),
    layer("RMSNorm", 5, eps=1e-5, inputs=(2, 5)),
    layer("RMSNorm", (3, 5), eps=1e-5, elementwise_affine=False, inputs=(2, 3, 5)),
    layer("GroupNorm", 2, 6, inputs=(2, 6, 3)),
    layer("GroupNorm", 2, 6, bias=False, inputs=(2, 6, 3)),
    layer("BatchNorm2d", 3, bias=False, inputs=(2, 3, 4, 2)),
    layer("GroupNorm", 3, 6, eps=0.1, affine=False, inputs=(2, 6, 3, 2)),
    *(
        layer(word, 3, inputs=shape, name=f"of {len(shape)} dimensions", training=training, calls=calls, **options)
        for word, shape in (("BatchNorm1d", (4, 3)), ("BatchNorm1d", (2, 3, 5)), ("BatchNorm2d", (2, 3, 4, 2)))
        for options in (
            {},
            {"momentum": None},
            {"momentum": 0.3, "eps": 0.1},
            {"affine": False},
            {"track_running_stats": False},
        )
        for training, calls in ((True, 3), (False, 1))
        if shape != (2, 3, 5) or options == {}
    ),
    layer("ELU", 0.5, inputs=(7,)),
    layer("GELU", inputs=(7,)),
    layer("GELU", "tanh", inputs=(7,)),
    layer("LeakyReLU", 0.2, inputs=(7,)),
    layer("Softplus", 2.0, 1.0, inputs=(7,)),
    layer("Softmax", 1, inputs=(2, 5)),
    layer("LogSoftmax", dim=-1, inputs=(2, 5)),
    *(
        layer(word, inputs=[3 * wave((9,), 0.2)])
        for word in ("Hardsigmoid", "Hardswish", "LogSigmoid", "Mish", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Tanh")
    ),
    layer("MaxPool2d", 2, inputs=(1, 2, 5, 4)),
    layer("MaxPool2d", (3, 2), (2, 1), (1, 0), (1, 2), ceil_mode=True, inputs=(1, 2, 6, 5)),
    layer("AvgPool2d", 2, inputs=(1, 2, 5, 4)),
    layer("AvgPool2d", 3, 2, 1, True, False, inputs=(1, 2, 6, 5)),
    layer("AvgPool2d", 2, divisor_override=3, inputs=(1, 2, 6, 5)),
    layer("AdaptiveAvgPool2d", (2, None), inputs=(1, 2, 5, 3)),
    layer("Flatten", inputs=(2, 3, 4)),
    layer("Flatten", 0, 1, inputs=(2, 3, 4)),
    layer("Unflatten", 1, (2, -1), inputs=(3, 6)),
    layer("Upsample", scale_factor=2, inputs=(1, 2, 3, 4)),
    layer("Upsample", size=(5, 3), mode="bilinear", align_corners=True, inputs=(1, 2, 3, 4)),
    layer("Dropout", 0.3, inputs=(2, 5), training=False),
    layer("Dropout2d", 0.3, inputs=(1, 2, 3, 4), training=False),
    *(
        layer(word, **options, inputs=[(3, 4), 0.5 + 0.3 * wave((3, 4), 2.0)])
        for word, options in (
            ("MSELoss", {}),
            ("L1Loss", {"reduction": "sum"}),
            ("SmoothL1Loss", {"beta": 0.5}),
            ("HuberLoss", {"reduction": "none", "delta": 0.5}),
            ("KLDivLoss", {"reduction": "batchmean"}),
            ("KLDivLoss", {"reduction": "sum", "log_target": True}),
        )
    ),
    layer("NLLLoss", ignore_index=2, inputs=[(4, 3), np.array([0, 2, 1, 1])]),
    layer("CrossEntropyLoss", label_smoothing=0.2, ignore_index=1, inputs=[(4, 3), np.array([0, 2, 1, 1])]),
    ModuleCase(
        "BCELoss with a weight",
        lambda lib: lib.nn.BCELoss(lib.ones(4)),
        (0.5 + 0.4 * wave((3, 4), 1.0), 0.5 + 0.4 * wave((3, 4), 2.0)),
    ),
    ModuleCase(
        "BCEWithLogitsLoss with weights",
        lambda lib: lib.nn.BCEWithLogitsLoss(weight=lib.ones(3, 1), pos_weight=lib.ones(4)),
        (wave((3, 4), 1.0), 0.5 + 0.4 * wave((3, 4), 2.0)),
    ),
    ModuleCase("NLLLoss with a weight", lambda lib: lib.nn.NLLLoss(lib.ones(3)), (wave((4, 3), 1.0), np.arange(4) % 3)),
    ModuleCase(
        "CrossEntropyLoss with a weight",
        lambda lib: lib.nn.CrossEntropyLoss(lib.ones(3), label_smoothing=0.1),
        (wave((4, 3), 1.0), np.arange(4) % 3),
    ),
    ModuleCase("stages", stages, (wave((3, 3, 6, 4), 0.1),)),
    ModuleCase("stages, evaluation", stages, (wave((3, 3, 6, 4), 0.1),), training=False),
]
