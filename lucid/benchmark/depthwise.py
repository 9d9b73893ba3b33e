"""Time the depthwise convolution in three directions, beside MLX's own, PyTorch's and a copy of the same size."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lucid._profile import profile
from lucid.benchmark.timing import difference, first_line, interleaved_medians, timers
from lucid.kernels.depthwise_conv2d.dispatch import depthwise_conv2d

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

STAGES = {"1": (56, 56, 96), "2": (28, 28, 192), "3": (14, 14, 384), "4": (7, 7, 768)}  # of ConvNeXt-T
DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
TOLERANCES = {"float32": 2e-5, "float16": 2e-3, "bfloat16": 1.6e-2}  # relative to the largest value
# Calls that are chained. The taps add up to 1 only on average: values fade with each call, and after many they are
# subnormal numbers, with which Intel's CPUs compute ten times as slowly.
CHAIN = 4
FORWARD, INPUT, WEIGHT = DIRECTIONS = ("forward", "input gradient", "weight gradient")


@dataclass(frozen=True)
class Case:
    """One shape in one dtype, with stride 1 and the padding that keeps height and width."""

    images: int
    height: int
    width: int
    channels: int
    kernel: int
    dtype: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.images, self.height, self.width, self.channels

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of x, weight and the output gradient."""
        return self.shape, (self.channels, 1, self.kernel, self.kernel), self.shape

    @property
    def min_bytes(self) -> int:
        """The least that must move: one array in and one out, or two in."""
        return 2 * math.prod(self.shape) * DTYPES[self.dtype].size

    @property
    def max_calls(self) -> int:
        """As many calls as fit into half a gigabyte side by side."""
        return min(max(2**30 // self.min_bytes, 1), 256)

    def arrays(self) -> tuple[mx.array, mx.array, mx.array]:
        """x, weight and an output gradient; taps add up to about 1, so that few chained calls change little."""
        x, dy = mx.random.normal(self.shape), mx.random.normal(self.shape)
        weight = mx.random.uniform(shape=(self.channels, 1, self.kernel, self.kernel)) * 2 / self.kernel**2
        x, weight, dy = (array.astype(DTYPES[self.dtype]) for array in (x, weight, dy))
        mx.eval(x, weight, dy)
        return x, weight, dy


class OnMlx:
    """Something that MLX evaluates: our convolution, MLX's own, or a copy."""

    def __init__(self, name: str, convolution: Callable[..., mx.array], case: Case, arrays: Any, eager: bool) -> None:
        self.name, self.case = name, case
        self.x, self.weight, self.dy = arrays

        def forward(x: mx.array, weight: mx.array, dy: mx.array) -> mx.array:
            return convolution(x, weight, case)

        def input_gradient(x: mx.array, weight: mx.array, dy: mx.array) -> mx.array:
            return mx.vjp(lambda x: convolution(x, weight, case), [x], [dy])[1][0]

        def weight_gradient(x: mx.array, weight: mx.array, dy: mx.array) -> mx.array:
            return mx.vjp(lambda weight: convolution(x, weight, case), [weight], [dy])[1][0]

        functions = dict(zip(DIRECTIONS, (forward, input_gradient, weight_gradient), strict=True))
        self.functions = functions if eager else {what: mx.compile(function) for what, function in functions.items()}

    def call(self, what: str, value: mx.array) -> mx.array:
        """One call on ``value``, which replaces x, or for the input gradient the output gradient."""
        return self.functions[what](*((self.x, self.weight, value) if what == INPUT else (value, self.weight, self.dy)))

    def start(self, what: str) -> mx.array:
        return self.dy if what == INPUT else self.x

    def prepare(self, what: str, calls: int) -> Callable[[], None]:
        """Build the graph of ``calls`` calls; calling the result evaluates it."""
        graph: list[mx.array] = []
        for number in range(calls):
            follows = what != WEIGHT and number % CHAIN
            graph.append(self.call(what, graph.pop() if follows else self.start(what)))
        return lambda: mx.eval(graph)

    def peak_bytes(self, what: str) -> int:
        """Of one call, x, weight, the output gradient and the result included."""
        run = self.prepare(what, 1)
        mx.clear_cache()
        mx.reset_peak_memory()
        run()
        return mx.get_peak_memory()


class Copy(OnMlx):
    """Reads every value once and writes it once: as fast as memory allows."""

    def __init__(self, case: Case, arrays: Any) -> None:
        super().__init__("copy", lambda x, *_: x, case, arrays, eager=True)

    def prepare(self, what: str, calls: int) -> Callable[[], None]:
        graph = [-self.x for _ in range(calls)]  # not chained: MLX would reuse the input buffer
        return lambda: mx.eval(graph)


class OnTorch:
    """PyTorch on the same kind of device as MLX: "torch" in channels-last layout, or "torch-contiguous"."""

    def __init__(self, name: str, torch: Any, device: str, case: Case, arrays: Any) -> None:
        self.name, self.torch, self.case = name, torch, case
        layout = torch.channels_last if name == "torch" else torch.contiguous_format
        nhwc, weight, dy = (torch.from_numpy(np.array(array.astype(mx.float32))) for array in arrays)
        images = (nhwc.permute(0, 3, 1, 2), weight, dy.permute(0, 3, 1, 2))
        self.x, self.weight, self.dy = (
            one.to(device, getattr(torch, case.dtype), memory_format=layout) for one in images
        )
        self.synchronize = {"mps": torch.mps.synchronize, "cuda": torch.cuda.synchronize, "cpu": lambda: None}[device]

    def call(self, what: str, value: Any) -> Any:
        padding, groups = [self.case.kernel // 2] * 2, self.case.channels
        if what == FORWARD:
            return self.torch.nn.functional.conv2d(value, self.weight, None, 1, padding, 1, groups)
        dy, output_mask = (value, [True, False, False]) if what == INPUT else (self.dy, [False, True, False])
        options = (None, [1, 1], padding, [1, 1], False, [0, 0], groups, output_mask)
        gradients = self.torch.ops.aten.convolution_backward(dy, self.x, self.weight, *options)
        return gradients[0 if what == INPUT else 1]

    def prepare(self, what: str, calls: int) -> Callable[[], None]:
        def run() -> None:
            with self.torch.inference_mode():
                start = value = self.dy if what == INPUT else self.x
                for number in range(calls):
                    value = self.call(what, value if what != WEIGHT and number % CHAIN else start)
                self.synchronize()

        return run


def our_convolution(x: mx.array, weight: mx.array, case: Case) -> mx.array:
    return depthwise_conv2d(x, weight, None, padding=case.kernel // 2)


def mlx_convolution(x: mx.array, weight: mx.array, case: Case) -> mx.array:
    return mx.conv2d(x, weight.transpose(0, 2, 3, 1), padding=case.kernel // 2, groups=case.channels)


CONVOLUTIONS = {"ours": our_convolution, "mlx": mlx_convolution}


def difference_from_mlx(ours: OnMlx, what: str) -> float:
    """The largest difference from MLX's result in float32, relative to its largest value."""
    arrays = [one.astype(mx.float32) for one in (ours.x, ours.weight, ours.dy)]
    exact = OnMlx("exact", mlx_convolution, ours.case, arrays, eager=True)
    result = ours.call(what, ours.start(what)).astype(mx.float32)
    return difference(np.array(result), np.array(exact.call(what, exact.start(what))))


def compare_case(
    case: Case, names: list[str], torch: tuple[Any, str] | None, seconds: float, eager: bool, check: bool = True
) -> list[dict[str, Any]]:
    """A record for each direction; with ``check``, the result is compared with MLX's."""
    arrays = case.arrays()
    on_mlx = {name: OnMlx(name, CONVOLUTIONS[name], case, arrays, eager) for name in names if name in CONVOLUTIONS}
    implementations: list[Any] = [*on_mlx.values(), Copy(case, arrays)]
    if torch is not None:
        implementations += [OnTorch(name, *torch, case, arrays) for name in names if name.startswith("torch")]
    lines = []
    for what in DIRECTIONS:
        line: dict[str, Any] = {"shape": case.shape, "dtype": case.dtype, "what": what}
        prepares: dict[Any, Callable[[int], Callable[[], None]]] = {}
        for one in implementations:
            try:
                one.prepare(what, 1)()
            except RuntimeError as error:  # a dtype that PyTorch lacks on this device, or memory
                if one.name == "ours":
                    raise
                line[one.name] = {"error": first_line(error)}
            else:
                prepares[one.name] = partial(one.prepare, what)
        medians = interleaved_medians(timers(prepares, case.max_calls), seconds)
        line["copy_seconds"] = medians.pop("copy")
        for name, median in medians.items():
            line[name] = {
                "seconds": median,
                "gigabytes_per_second": case.min_bytes / median / 1e9,
                "of_a_copy": line["copy_seconds"] / median,
            }
            if name in on_mlx:
                line[name]["peak_bytes"] = on_mlx[name].peak_bytes(what)
        if check:
            line["difference"] = difference_from_mlx(on_mlx["ours"], what)
            line["is_right"] = line["difference"] <= TOLERANCES[case.dtype]
        lines.append(line)
    return lines


def peak_memory(case: Case, names: list[str], eager: bool) -> dict[str, Any]:
    """Peak memory of computing the output and all gradients, x and the output gradient included, in bytes."""
    found: dict[str, Any] = {"shape": case.shape, "dtype": case.dtype}
    for name in (one for one in names if one in CONVOLUTIONS):
        convolution = partial(CONVOLUTIONS[name], case=case)

        def everything(x: mx.array, weight: mx.array, dy: mx.array, convolution: Any = convolution) -> Any:
            return mx.vjp(convolution, [x, weight], [dy])

        others = mx.get_active_memory()
        x, weight, dy = case.arrays()
        mx.clear_cache()
        mx.reset_peak_memory()
        mx.eval((everything if eager else mx.compile(everything))(x, weight, dy))
        found[name] = mx.get_peak_memory() - others
        found["input_bytes"] = x.nbytes
        del x, weight, dy
    return found


def counted_bytes(case: Case) -> dict[str, int]:
    """What ``lucid.profile`` counts for one call in each direction on an Apple GPU."""
    arrays = tuple(mx.zeros(shape, DTYPES[case.dtype]) for shape in case.shapes)
    ours = OnMlx("ours", our_convolution, case, arrays, eager=True)
    return {what: profile(one, *arrays, compiled=True).bytes for what, one in ours.functions.items()}
