"""The source that ``mx.fast.metal_kernel`` passes to Metal's compiler: a signature around the kernel's body.

It follows MLX 0.32, including its quirks; ``test_signature.py`` compares it with what MLX itself prints.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx

# The thread attributes that MLX looks for in the body, in the order in which it declares them.
ATTRIBUTES = {
    "dispatch_quadgroups_per_threadgroup": "uint",
    "dispatch_simdgroups_per_threadgroup": "uint",
    "dispatch_threads_per_threadgroup": "uint3",
    "grid_origin": "uint3",
    "grid_size": "uint3",
    "quadgroup_index_in_threadgroup": "uint",
    "quadgroups_per_threadgroup": "uint",
    "simdgroup_index_in_threadgroup": "uint",
    "simdgroups_per_threadgroup": "uint",
    "thread_execution_width": "uint",
    "thread_index_in_quadgroup": "uint",
    "thread_index_in_simdgroup": "uint",
    "thread_index_in_threadgroup": "uint",
    "thread_position_in_grid": "uint3",
    "thread_position_in_threadgroup": "uint3",
    "threadgroup_position_in_grid": "uint3",
    "threadgroups_per_grid": "uint3",
    "threads_per_grid": "uint3",
    "threads_per_simdgroup": "uint",
    "threads_per_threadgroup": "uint3",
}
TYPE_NAMES = {
    mx.bool_: "bool",
    mx.uint8: "uint8_t",
    mx.uint16: "uint16_t",
    mx.uint32: "uint32_t",
    mx.uint64: "uint64_t",
    mx.int8: "int8_t",
    mx.int16: "int16_t",
    mx.int32: "int32_t",
    mx.int64: "int64_t",
    mx.float16: "float16_t",
    mx.bfloat16: "bfloat16_t",
    mx.float32: "float",
}
# An input of fewer elements is in the `constant` address space instead of `device`.
CONSTANT_BELOW_ELEMENTS = 8
# What MLX passes along with an input if the body mentions it: suffix, type, whether it is a reference.
COMPANIONS = (("_shape", "int", False), ("_strides", "int64_t", False), ("_ndim", "int", True))

TemplateArguments = Sequence[tuple[str, bool | int | mx.Dtype]]


@dataclass(frozen=True)
class Parameter:
    """A buffer of the kernel. ``of`` is the input that a shape, strides or number of axes belongs to."""

    name: str
    space: str
    type: str
    by_reference: bool = False
    of: str | None = None

    @property
    def declaration(self) -> str:
        return f"{self.space} {self.type}{'&' if self.by_reference else '*'} {self.name}"


@dataclass(frozen=True)
class Signature:
    """Everything that the generated source depends on; ``mx.fast.metal_kernel`` compiles once per signature."""

    name: str
    header: str
    source: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    template: tuple[tuple[str, str, str], ...]  # (kind, name, value)
    input_count: int  # inputs without their companions

    @property
    def attributes(self) -> list[str]:
        return [name for name in ATTRIBUTES if name in self.source]

    @property
    def template_values(self) -> str:
        """``<float, 7>`` for the call, or ``""`` without template arguments."""
        return f"<{', '.join(value for _, _, value in self.template)}>" if self.template else ""

    def text(self, body: str | None = None) -> str:
        """The kernel as MLX writes it, without header and instantiation; ``body`` replaces its own."""
        lines = []
        if self.template:
            lines.append(f"template <{', '.join(f'{kind} {name}' for kind, name, _ in self.template)}>")
        lines.append(f"[[kernel]] void {self.name}(")
        index = 0
        for parameter in self.inputs:
            lines.append(f"  const {parameter.declaration} [[buffer({index})]],")
            index += 1
        for parameter in self.outputs:
            # MLX 0.32 counts inputs without their companions here. If a kernel mentions a shape and has several
            # outputs but no thread attribute, its parameter list ends twice. It does not compile on a Mac either.
            goes_on = index < self.input_count + len(self.outputs) - 1 or self.attributes
            lines.append(f"  {parameter.declaration} [[buffer({index})]]{',' if goes_on else ') {'}")
            index += 1
        for name in self.attributes:
            end = ") {" if name == self.attributes[-1] else ","
            lines.append(f"  {ATTRIBUTES[name]} {name} [[{name}]]{end}")
        return "\n".join(lines) + "\n" + (self.source if body is None else body) + "\n}\n"

    def generated_source(self) -> str:
        """The source that MLX prints with ``verbose=True``, character by character."""
        text = self.header + self.text()
        if self.template:
            function = f"{self.name}{self.template_values}"
            text += f'\ntemplate [[host_name("{self.name}")]] [[kernel]] decltype({function}) {function};\n'
        return text


def _template_argument(value) -> tuple[str, str]:
    if isinstance(value, bool):
        return "bool", "1" if value else "0"
    if isinstance(value, int):
        return "int", str(value)
    if isinstance(value, mx.Dtype):
        return "typename", TYPE_NAMES[value]
    raise TypeError(f"metal_kernel: template arguments must be bool, int or mx.Dtype, got {value!r}")


def _input_parameters(source: str, names: Sequence[str], inputs: Sequence[mx.array]) -> list[Parameter]:
    parameters = []
    for name, array in zip(names, inputs, strict=True):
        space = "constant" if array.size < CONSTANT_BELOW_ELEMENTS else "device"
        parameters.append(Parameter(name, space, TYPE_NAMES[array.dtype], by_reference=array.ndim == 0))
        parameters += [
            Parameter(name + suffix, "constant", kind, by_reference, of=name)
            for suffix, kind, by_reference in COMPANIONS
            if array.ndim > 0 and name + suffix in source
        ]
    return parameters


def _kernel_name(name: str, values: Sequence[str], inputs: Sequence[mx.array], dtypes: Sequence[mx.Dtype]) -> str:
    parts = [f"custom_kernel_{name}"]
    if values:
        parts.append("_" + re.sub(r"\W", "_", "_".join(values)))
    for array in inputs:
        small = "s" if array.ndim == 0 else "c" if array.size < CONSTANT_BELOW_ELEMENTS else ""
        parts.append(TYPE_NAMES[array.dtype] + small)
    return "_".join(parts + [TYPE_NAMES[dtype] for dtype in dtypes])


def signature(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str,
    inputs: Sequence[mx.array],
    output_dtypes: Sequence[mx.Dtype],
    template: TemplateArguments = (),
    atomic_outputs: bool = False,
) -> Signature:
    arguments = [(key, *_template_argument(value)) for key, value in template]
    outputs = [
        Parameter(key, "device", f"atomic<{TYPE_NAMES[dtype]}>" if atomic_outputs else TYPE_NAMES[dtype])
        for key, dtype in zip(output_names, output_dtypes, strict=True)
    ]
    return Signature(
        name=_kernel_name(name, [value for _, _, value in arguments], inputs, output_dtypes),
        header=header,
        source=source,
        inputs=tuple(_input_parameters(source, input_names, inputs)),
        outputs=tuple(outputs),
        template=tuple((kind, key, value) for key, kind, value in arguments),
        input_count=len(inputs),
    )


def generated_source(
    name, input_names, output_names, source, header, inputs, output_dtypes, template=(), atomic_outputs=False
) -> str:
    """The source that ``mx.fast.metal_kernel`` compiles, and prints with ``verbose=True``."""
    return signature(
        name, input_names, output_names, source, header, inputs, output_dtypes, template, atomic_outputs
    ).generated_source()
