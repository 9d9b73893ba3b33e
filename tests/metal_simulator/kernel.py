"""A kernel that is built and called like one of ``mx.fast.metal_kernel`` but runs on the CPU."""

import math
from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from tests.metal_simulator.build import BuildError, kernel_library
from tests.metal_simulator.run import Buffer, Options, Report, SimulationError, current_options, run
from tests.metal_simulator.signature import Signature, TemplateArguments, signature

MAX_THREADS_PER_THREADGROUP = 1024


class Kernel:
    """Takes the arguments of ``mx.fast.metal_kernel``; calls run in the simulator.

    With ``ensure_row_contiguous=False`` an input is passed as it lies in memory, with its strides.

    Attributes:
        options: How this kernel runs; None for the options of the surrounding ``simulation(...)``.
        report: The report of the last call.
    """

    def __init__(
        self,
        name: str,
        input_names: Sequence[str],
        output_names: Sequence[str],
        source: str,
        header: str = "",
        ensure_row_contiguous: bool = True,
        atomic_outputs: bool = False,
        compile_options: object | None = None,
    ):
        self.name = name
        self.input_names = list(input_names)
        self.output_names = list(output_names)
        self.source = source
        self.header = header
        self.ensure_row_contiguous = ensure_row_contiguous
        self.atomic_outputs = atomic_outputs
        self.options: Options | None = None
        self.report: Report | None = None

    def signature(
        self, inputs: Sequence[mx.array], output_dtypes: Sequence[mx.Dtype], template: TemplateArguments = ()
    ) -> Signature:
        return signature(
            self.name,
            self.input_names,
            self.output_names,
            self.source,
            self.header,
            inputs,
            output_dtypes,
            template,
            self.atomic_outputs,
        )

    def __call__(
        self,
        *,
        inputs: Sequence[mx.array],
        output_shapes: Sequence[Sequence[int]],
        output_dtypes: Sequence[mx.Dtype],
        grid: tuple[int, int, int],
        threadgroup: tuple[int, int, int],
        template: TemplateArguments | None = None,
        init_value: float | None = None,
        verbose: bool = False,
        stream: object | None = None,
    ) -> list[mx.array]:
        """Run immediately and return the outputs.

        Raises:
            SimulationError: The kernel does not compile, or the run had faults and ``options.raises`` is set.
        """
        options = self.options or current_options()
        arrays = [array if isinstance(array, mx.array) else mx.array(array) for array in inputs]
        self._check_call(arrays, output_shapes, output_dtypes, grid, threadgroup)
        text = self.signature(arrays, output_dtypes, template or ())
        if verbose:
            print(f"Generated source code for `{self.name}`:\n```\n{text.generated_source()}\n```")
        try:
            library = kernel_library(text, options.check)
        except BuildError as error:
            raise SimulationError(f"{self.name}: {error}") from None
        buffers = _input_buffers(text, dict(zip(self.input_names, arrays, strict=True)), self.ensure_row_contiguous)
        for parameter, shape, dtype in zip(text.outputs, output_shapes, output_dtypes, strict=True):
            buffers.append(_output_buffer(parameter.name, shape, dtype, init_value))
        companions = frozenset(parameter.name for parameter in text.inputs if parameter.of)
        self.report, contents = run(library, grid, threadgroup, buffers, options, companions)
        if self.report.faults and (options.raises or not self.report.completed):
            raise SimulationError(_fault_message(self.name, self.report))
        return [
            _array(data, shape, dtype)
            for data, shape, dtype in zip(contents, output_shapes, output_dtypes, strict=True)
        ]

    def _check_call(self, arrays, output_shapes, output_dtypes, grid, threadgroup):
        where = f"metal_kernel {self.name}"
        if len(arrays) != len(self.input_names):
            raise ValueError(f"{where}: expected {len(self.input_names)} inputs, got {len(arrays)}")
        if not len(output_shapes) == len(output_dtypes) == len(self.output_names):
            raise ValueError(
                f"{where}: expected {len(self.output_names)} output_shapes and output_dtypes, "
                f"got {len(output_shapes)} and {len(output_dtypes)}"
            )
        for name, size in (("grid", grid), ("threadgroup", threadgroup)):
            if len(size) != 3 or min(size) < 1:
                raise ValueError(f"{where}: {name} must be three positive numbers, got {tuple(size)}")
        if math.prod(threadgroup) > MAX_THREADS_PER_THREADGROUP:
            raise ValueError(
                f"{where}: threadgroup must have at most {MAX_THREADS_PER_THREADGROUP} threads, "
                f"got {tuple(threadgroup)}"
            )


def _fault_message(name: str, report: Report) -> str:
    hidden = report.fault_count - len(report.faults)
    lines = [*report.faults, *([f"and {hidden} more"] if hidden else [])]
    return f"{name}: {report.fault_count} fault(s)\n  " + "\n  ".join(lines)


def _bytes_of(array: mx.array) -> bytes:
    if array.dtype == mx.bfloat16:  # NumPy has no such type
        array = array.view(mx.uint16)
    return np.array(array).tobytes()


def _strided(array: mx.array) -> tuple[bytes, list[int]]:
    """The memory that an array refers to, from its lowest address, and its strides in elements."""
    values = np.asarray(memoryview(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array))
    strides = [stride // values.itemsize for stride in values.strides]
    axes = sorted(range(values.ndim), key=lambda axis: -abs(strides[axis]))
    once = tuple(slice(0, 1) if strides[axis] == 0 else slice(None, None, (strides[axis] > 0) * 2 - 1) for axis in axes)
    return values.transpose(axes)[once].tobytes(), strides


def _array(contents: bytes, shape: Sequence[int], dtype: mx.Dtype) -> mx.array:
    as_bytes = mx.array(np.frombuffer(contents, np.uint8))
    return as_bytes.view(dtype).reshape(shape) if contents else mx.zeros(shape, dtype)


def _row_contiguous_strides(shape: Sequence[int]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _input_buffers(text: Signature, arrays: dict[str, mx.array], row_contiguous: bool) -> list[Buffer]:
    buffers = []
    for parameter in text.inputs:
        array = arrays[parameter.of or parameter.name]
        contents, strides = (
            (_bytes_of(array), _row_contiguous_strides(array.shape)) if row_contiguous else _strided(array)
        )
        element_bytes = array.itemsize
        if parameter.of is not None:
            shape = array.shape
            companion = {
                "_shape": np.array(shape, np.int32),
                "_strides": np.array(strides, np.int64),
                "_ndim": np.array([len(shape)], np.int32),
            }[parameter.name.removeprefix(parameter.of)]
            contents, element_bytes = companion.tobytes(), companion.itemsize
        buffers.append(Buffer(parameter.name, False, element_bytes, len(contents), contents))
    return buffers


def _output_buffer(name: str, shape: Sequence[int], dtype: mx.Dtype, init_value: float | None) -> Buffer:
    size = math.prod(shape)
    contents = None if init_value is None else _bytes_of(mx.full((size,), init_value).astype(dtype))
    return Buffer(name, True, dtype.size, dtype.size * size, contents)
