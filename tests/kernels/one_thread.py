"""Runs one thread, or one threadgroup, of a launch whose arrays are too large for memory: every image is the same.

The kernel is launched as on a GPU, with the same sizes. Only its pointers differ: ``Far`` counts the elements from the
start of the large array, reports an offset outside of it, and takes the element from one image.
"""

import math

from lucid import _device
from lucid.kernels import library
from tests.kernels.recorded_launches import recording_kernel
from tests.metal_simulator import Kernel, simulation

LARGE = 2**26  # elements; smaller arrays are passed as they are
_FAR = """
template <typename Pointer>
struct Far {
  Pointer base;
  size_t at, image, size;
  Far operator+(long distance) const { return Far{base, at + size_t(distance), image, size}; }
  Far& operator+=(long distance) { at += size_t(distance); return *this; }
  auto operator[](long i) const -> decltype(*base) {
    const size_t element = at + size_t(i);
    return base[element < size ? element % image : image + element % 1024];
  }
};
"""


def record_launches(monkeypatch, run):
    """What ``run()`` would launch on a Mac, in order: a dictionary each."""
    found = []

    with monkeypatch.context() as patch:
        patch.setattr(library, "kernel", recording_kernel(found))
        patch.setattr(_device, "backend", lambda: "metal")
        patch.setenv("LUCID_TUNING", "off")
        run()
    return found


def group_size(launch):
    """One thread; for a function with threadgroup memory the whole threadgroup."""
    return launch["threadgroup"] if "threadgroup " in launch["call"] else (1, 1, 1)


def run_one_thread(launch, single, at):
    """The outputs after thread ``at``, or the threadgroup from there on, has run; NaN where it wrote nothing.

    Of large outputs, one image. ``single`` is the same launch for a single image.
    """
    names, inputs = (*launch["input_names"], *launch["output_names"]), list(launch["inputs"])
    shapes = [*(one.shape for one in inputs), *launch["output_shapes"]]
    images = [math.prod(shape) for shape in (*(one.shape for one in single["inputs"]), *single["output_shapes"])]
    output_shapes = list(launch["output_shapes"])
    declarations = []
    for number, (name, shape, image) in enumerate(zip(names, shapes, images, strict=True)):
        if (size := math.prod(shape)) >= LARGE:
            if number < len(inputs):
                inputs[number] = single["inputs"][number]
            else:
                output_shapes[number - len(inputs)] = single["output_shapes"][number - len(inputs)]
            declarations.append(f"Far<decltype({name}_image)> {name} = {{{name}_image, 0, {image}, {size}}};")
        else:
            declarations.append(f"auto {name} = {name}_image;")
        declarations.append(f"const int {name}_shape[4] = {{{', '.join(map(str, shape[:4]))}}};")
    position = (f"{first} + thread_position_in_threadgroup.{axis}" for first, axis in zip(at, "xyz", strict=True))
    declarations.append(f"const uint3 thread_position_in_grid = uint3({', '.join(position)});")
    declarations.append(f"const uint3 threads_per_grid = uint3({', '.join(map(str, launch['grid']))});")
    kernel = Kernel(
        f"one_thread_of_{launch['name']}",
        [f"{name}_image" for name in names[: len(inputs)]],
        [f"{name}_image" for name in names[len(inputs) :]],
        "\n".join(["{", *declarations, launch["call"], "}"]),
        library.source(f"{launch['shader']}.metal") + _FAR,
    )
    with simulation(order="forward"):
        return kernel(
            inputs=inputs,
            output_shapes=output_shapes,
            output_dtypes=launch["output_dtypes"],
            grid=group_size(launch),
            threadgroup=group_size(launch),
            template=launch["template"],
            init_value=float("nan"),
        )
