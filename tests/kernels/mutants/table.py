"""Plausible mistakes in the kernels, and the tests that find them.

Each is one change of the text of a shader or of the code that launches it. ``make mutants`` applies them one after
another to a copy of the sources and runs the tests. A mutant without a reason must be killed: one of its tests fails.
A mutant with a reason computes the same, so no test can fail.
"""

from dataclasses import dataclass

_DEPTHWISE = "metal/depthwise_conv2d.metal"
_GELU = "metal/biased_gelu.metal"
_LAUNCH = "lucid/kernels/depthwise_conv2d/launch.py"
_DISPATCH = "lucid/kernels/depthwise_conv2d/dispatch.py"
_GEOMETRY = "lucid/kernels/depthwise_conv2d/geometry.py"
_TILING = "lucid/kernels/depthwise_conv2d/tiling.py"
_BIASED_GELU = "lucid/kernels/biased_gelu.py"
_GRN = "lucid/kernels/gelu_grn.py"
_PRODUCT = "lucid/kernels/grn_product.py"
_LIBRARY = "lucid/kernels/library.py"


@dataclass(frozen=True)
class Mutant:
    """``right`` in ``file`` becomes ``wrong``.

    Attributes:
        file: The path in the repository.
        name: What the mistake is.
        right: Text that occurs in the file exactly once.
        wrong: Its replacement.
        tests: pytest's names of the tests to run.
        equivalent: Why the result is the same; empty if a test must fail.
    """

    file: str
    name: str
    right: str
    wrong: str
    tests: tuple[str, ...]
    equivalent: str = ""

    def applied(self, text: str) -> str:
        """The text of the file with the mistake.

        Raises:
            ValueError: The correct text does not occur exactly once.
        """
        if (count := text.count(self.right)) != 1:
            raise ValueError(f"{self.file}: {self.name}: {self.right!r} must occur once, occurs {count} times")
        return text.replace(self.right, self.wrong)


def _rounded(*cases: str, dtype: str = "float32") -> tuple[str, ...]:
    file = "tests/kernels/depthwise_conv2d/test_accuracy.py"
    return tuple(f"{file}::test_positive_sums_are_rounded_once[{case}-mlx.core.{dtype}]" for case in cases)


def _accuracy(test: str, *cases: str) -> tuple[str, ...]:
    return tuple(f"tests/kernels/depthwise_conv2d/test_accuracy.py::test_{test}[{case}]" for case in cases)


def _far(*cases: str) -> tuple[str, ...]:
    file = "tests/kernels/test_large_arrays.py"
    return tuple(f"{file}::test_the_last_of_many_images_is_like_a_single_one[{case}]" for case in cases)


def _tests(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"tests/kernels/{file}.py::test_{name}" for name in names)


_LOOPS = _tests("test_shader_loops", "loops_over_registers_are_unrolled_and_no_others")
_LAUNCHES = _tests(
    "depthwise_conv2d/test_launch", "grids_cover_every_output", "every_pipeline_supports_the_threadgroup"
)
_BATCH = _tests("depthwise_conv2d/test_tiling", "batches_of_32_fill_the_largest_gpu")
_TILINGS = _tests("depthwise_conv2d/test_dispatch", "results_do_not_depend_on_the_tiling")
_LINES = _tests("depthwise_conv2d/test_traffic", "each_access_of_a_simdgroup_reads_neighboring_addresses")
_WHOLE = _tests("depthwise_conv2d/test_dispatch", "whole_threadgroups_as_cuda_launches_them")
_FULL = ("tests/kernels/depthwise_conv2d/test_dispatch.py::test_the_weight_gradient_is_right_for_every_tiling[3-4]",)
_SINGLE = _tests("depthwise_conv2d/test_tiling", "single_images_get_smaller_tiles")
_SMALL = _tests("depthwise_conv2d/test_tiling", "small_batches_get_more_threads_than_the_smallest_gpu_needs")
_CHOICE = _tests("depthwise_conv2d/test_launch", "a_stated_condition_chooses", "the_geometry_chooses_the_function")
_WIDE = _tests("depthwise_conv2d/test_accuracy", "more_channels_than_threads_in_a_threadgroup")
_VALUES = _tests("test_biased_gelu", "value_and_gradients", "large_values_and_nan", "chunks")
_GELU_16 = _tests("test_biased_gelu", "sums_do_not_overflow_half_precision", "bfloat16_beyond_the_range_of_float16")
_GRN_VALUES = _tests("test_gelu_grn", "value_and_gradients")
_PADDED = _tests("test_biased_gelu", "a_padded_result_ends_with_the_factor_and_zeros")
_GRN_PADDED = _tests("test_gelu_grn", "a_padded_result_ends_with_the_factor_and_zeros")
_ONE_PASS = _tests("test_gelu_grn", "gelu_and_its_square_sums_in_one_pass")
_PRODUCTS = _tests("test_grn_product", "value_and_gradients")
_GRN_16 = _tests("test_gelu_grn", "sums_are_float32_whatever_the_dtype")

# The forward functions ------------------------------------------------------------------------------------------------

_ROLLING = [
    Mutant(
        _DEPTHWISE,
        "products rounded before the sum",
        "sums[r][s] = fma(",
        "sums[r][s] = [](float a, float b, float c) { return a * b + c; }(",
        _accuracy("every_product_is_one_instruction", "rolling"),
    ),
    Mutant(
        _DEPTHWISE,
        "output through float16",
        "y[i] = T(MAP ? sums[0][s] + float(bias[i]) : sums[0][s]);",
        "y[i] = T(half(MAP ? sums[0][s] + float(bias[i]) : sums[0][s]));",
        _accuracy("bfloat16_beyond_the_range_of_float16", "rolling"),
    ),
    Mutant(
        _DEPTHWISE,
        "sums in 16 bits",
        "sums[r][s] = fma(",
        "sums[r][s] = [](float a, float b, float c) { return float(T(fma(a, b, c))); }(",
        _rounded("rolling", dtype="bfloat16"),
    ),
    Mutant(
        _DEPTHWISE,
        "columns in 16 bits",
        "  const int column = int(at.y) % strips * S;",
        "  const short column = int(at.y) % strips * S;",
        _tests("depthwise_conv2d/test_accuracy", "more_than_32767_columns"),
    ),
    Mutant(
        _DEPTHWISE,
        "a map as bias that starts at the first image",
        "    bias += image;",
        "    bias += size_t(c);",
        _tests("depthwise_conv2d/test_launch", "an_input_gradient_starts_from_another"),
    ),
    Mutant(
        _DEPTHWISE,
        "weights that each lane loads itself",
        "    shared[i] = R(weight[i]);",
        "    const int l = i % (taps / (KH * KW)) * (KH * KW) + i / (taps / (KH * KW));\n    shared[l] = R(weight[l]);",
        _LINES,
    ),
    Mutant(
        _LAUNCH,
        "columns across lanes instead of channels",
        "threadgroup=(LANES, tiles.threads // LANES, 1),",
        "threadgroup=(1, tiles.threads, 1),",
        _LINES,
    ),
    Mutant(
        _DEPTHWISE,
        "sums that are not unrolled",
        "#pragma unroll\n      for (int r = 0; r < KH; ++r) {\n        if (lowest",
        "      for (int r = 0; r < KH; ++r) {\n        if (lowest",
        _LOOPS,
    ),
    Mutant(
        _DEPTHWISE,
        "weights of one channel for all",
        "shared[lane * KH * KW + (FLIP",
        "shared[(FLIP",
        _rounded("rolling"),
    ),
    Mutant(
        _DEPTHWISE,
        "weights after the last channel",
        "const int taps = min(int(group.x), channels - (c - lane)) * (KH * KW);",
        "const int taps = int(group.x) * (KH * KW);",
        _WHOLE,
    ),
    Mutant(
        _DEPTHWISE,
        "weights not awaited",
        "  threadgroup_barrier(mem_flags::mem_threadgroup);\n  if (c >= channels || begin",
        "  if (c >= channels || begin",
        _rounded("rolling"),
    ),
    Mutant(
        _DEPTHWISE,
        "threads that leave before the barrier",
        "  // shared[l * KH * KW + i * KW + j]: weight",
        "  if (c >= channels || begin >= end) {\n    return;\n  }\n  // shared[l * KH * KW + i * KW + j]: weight",
        _WHOLE,
    ),
    Mutant(
        _DEPTHWISE,
        "offset of an image in 32 bits",
        "const size_t image = size_t(at.z) * size_t(out_height) * size_t(out_width * channels) + size_t(c);",
        "const int image = int(at.z) * out_height * (out_width * channels) + c;",
        _far("rolling forward"),
    ),
    Mutant(
        _DEPTHWISE,
        "rows of the first chunk for all",
        "  const int begin = int(at.y) / strips * rows;",
        "  const int begin = 0;",
        _tests("depthwise_conv2d/test_dispatch", "results_do_not_depend_on_the_tiling"),
    ),
]

_GENERAL_FORWARD = [
    Mutant(
        _DEPTHWISE,
        "left padding ignored",
        "const int first = column * stride_w - left;",
        "const int first = column * stride_w;",
        _rounded("uneven"),
    ),
    Mutant(
        _DEPTHWISE,
        "column without its stride",
        "const int first = column * stride_w - left;",
        "const int first = column - left;",
        _rounded("strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "missing row check",
        "    if (row < 0 || row >= height) {",
        "    if (row < 0) {",
        _rounded("general"),
    ),
    Mutant(
        _DEPTHWISE,
        "row check off by one",
        "    if (row < 0 || row >= height) {",
        "    if (row <= 0 || row >= height) {",
        _rounded("general"),
    ),
    Mutant(
        _DEPTHWISE,
        "window one column late",
        "        const int w = first + s;\n",
        "        const int w = first + s + 1;\n",
        _rounded("general"),
    ),
    Mutant(
        _DEPTHWISE,
        "window read before the row",
        "window[s] = (w >= 0 && w < width) ?",
        "window[s] = (w < width) ?",
        _rounded("general"),
    ),
    Mutant(
        _DEPTHWISE,
        "window read after the row",
        "(real && w >= 0 && w < width)",
        "(real && w >= 0)",
        _rounded("general"),
    ),
    Mutant(
        _DEPTHWISE,
        "window read after the kernel",
        "(real && w >= 0 && w < width)",
        "(w >= 0 && w < width)",
        _rounded("general"),
        "the values after the kernel are multiplied by no tap, and the bounds of the row hold anyway",
    ),
    Mutant(
        _DEPTHWISE,
        "dense products rounded before the sum",
        "              sums[s] = fma(window[s + j], tap[j], sums[s]);",
        "              sums[s] = window[s + j] * tap[j] + sums[s];",
        _accuracy("every_product_is_one_instruction", "general"),
    ),
    Mutant(
        _DEPTHWISE,
        "products rounded before the sum",
        "          sums[s] = fma(value, tap, sums[s]);",
        "          sums[s] = value * tap + sums[s];",
        _accuracy("every_product_is_one_instruction", "strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "columns of the input without the dilation",
        "const int w = first + s * stride_w + j * dilation_w;",
        "const int w = first + s * stride_w + j;",
        _rounded("dilated"),
    ),
    Mutant(
        _DEPTHWISE,
        "columns of the input without the stride",
        "const int w = first + s * stride_w + j * dilation_w;",
        "const int w = first + s + j * dilation_w;",
        _rounded("strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "output through float16",
        "y[(out_row * out_width + column + s) * channels] = T(sums[s]);",
        "y[(out_row * out_width + column + s) * channels] = T(half(sums[s]));",
        _accuracy("bfloat16_beyond_the_range_of_float16", "general"),
    ),
    Mutant(
        _DEPTHWISE,
        "sums in 16 bits",
        "              sums[s] = fma(window[s + j], tap[j], sums[s]);",
        "              sums[s] = float(T(fma(window[s + j], tap[j], sums[s])));",
        _rounded("general", dtype="float16"),
    ),
    Mutant(
        _DEPTHWISE,
        "offset of an image in 32 bits",
        "  x += size_t(at.z) * size_t(height) * size_t(width * channels) + size_t(c);\n  y += size_t(at.z)",
        "  x += int(at.z) * height * (width * channels) + c;\n  y += size_t(at.z)",
        _far("general forward"),
    ),
    Mutant(
        _DEPTHWISE,
        "a window that is not unrolled",
        "#pragma unroll\n        for (int s = 0; s < S - 1; ++s) {\n          window[s] = window[s + STEP];",
        "        for (int s = 0; s < S - 1; ++s) {\n          window[s] = window[s + STEP];",
        _LOOPS,
    ),
    Mutant(
        _DEPTHWISE,
        "kernel rows unrolled entirely",
        "#pragma unroll 1\n  for (int i = 0; i < kh; ++i) {\n    const int row = out_row",
        "#pragma unroll\n  for (int i = 0; i < kh; ++i) {\n    const int row = out_row",
        _LOOPS,
    ),
]

_ROLLING_WEIGHT_GRADIENT = [
    Mutant(
        _DEPTHWISE,
        "products rounded before the sum",
        "sums[i][j] = fma(",
        "sums[i][j] = [](float a, float b, float c) { return a * b + c; }(",
        _accuracy("every_product_is_one_instruction", "rolling"),
    ),
    Mutant(
        _DEPTHWISE,
        "sums in 16 bits",
        "sums[i][j] = fma(",
        "sums[i][j] = [](float a, float b, float c) { return float(half(fma(a, b, c))); }(",
        _rounded("rolling"),
    ),
    Mutant(
        _DEPTHWISE,
        "offset of an image of x in 32 bits",
        "X image = x + (size_t(n) * size_t(height) * size_t(width * channels) + size_t(c));",
        "X image = x + (n * height * (width * channels) + c);",
        _far("rolling weight gradient"),
    ),
    Mutant(
        _DEPTHWISE,
        "offset of an image of dy in 32 bits",
        "Dy gradient = dy + (size_t(n) * size_t(out_height) * size_t(out_width * channels) + size_t(c));",
        "Dy gradient = dy + (n * out_height * (out_width * channels) + c);",
        _far("rolling weight gradient"),
    ),
    Mutant(
        _DEPTHWISE,
        "sums of all threads but the last",
        "for (int g = 0; g < GROUPS; ++g) {",
        "for (int g = 0; g < GROUPS - 1; ++g) {",
        _FULL,
    ),
    Mutant(
        _DEPTHWISE,
        "sums of the first kernel column lost",
        "for (int j = group; j < wanted; j += GROUPS) {",
        "for (int j = group + 1; j < wanted; j += GROUPS) {",
        _rounded("rolling"),
    ),
    Mutant(
        _DEPTHWISE,
        "sums of dy in the place of a kernel column",
        "shared[(group * (KW + 1) + KW) * LANES + lane] = total;",
        "shared[(group * (KW + 1) + KW - 1) * LANES + lane] = total;",
        _rounded("rolling"),
    ),
    Mutant(
        _DEPTHWISE,
        "dy that is not unrolled",
        "#pragma unroll\n      for (int i = KH - 1; i > 0; --i) {",
        "      for (int i = KH - 1; i > 0; --i) {",
        _LOOPS,
    ),
    Mutant(
        _LAUNCH,
        "one unit per thread",
        "library.sizes(tiles.rows, tiles.count)",
        "library.sizes(tiles.rows, 1)",
        _FULL,
    ),
    Mutant(
        _LAUNCH,
        "a grid without the threads of a channel",
        "grid=(c, GROUPS * tiles.chunks, 1),",
        "grid=(c, tiles.chunks, 1),",
        _rounded("rolling"),
    ),
    Mutant(
        _LAUNCH,
        "only the first partial sum",
        "sums = partial.sum(0)",
        "sums = partial[0]",
        _FULL,
    ),
    Mutant(
        _TILING,
        "many partial sums",
        "itemsize // (40 * (kernel_area + 1))",
        "itemsize // (4 * (kernel_area + 1))",
        _tests("depthwise_conv2d/test_tiling", "partial_sums_take_less_than_a_tenth_of_the_bytes_of_x_and_dy"),
    ),
    Mutant(
        _TILING,
        "wide strips of 7x7 on CUDA",
        "_MAX_CUDA_TAPS = 25",
        "_MAX_CUDA_TAPS = 49",
        _tests("depthwise_conv2d/test_tiling", "cuda_gets_narrow_strips_of_large_kernels_and_more_threads"),
    ),
]

_STRIDED = [
    Mutant(
        _DEPTHWISE,
        "missing row check",
        "from < 0 || out_row >= out_height",
        "out_row >= out_height",
        _rounded("strided", "gaps"),
    ),
    Mutant(
        _DEPTHWISE,
        "rows after the last",
        "from < 0 || out_row >= out_height",
        "from < 0",
        _rounded("strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "remainder of rows ignored",
        " || out_row * stride_h != from",
        "",
        _rounded("strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "top padding ignored",
        "const int from = row + top - i * dilation_h;",
        "const int from = row - i * dilation_h;",
        _rounded("strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "left padding ignored",
        "const int across = column + s + left - j * dilation_w;",
        "const int across = column + s - j * dilation_w;",
        _rounded("strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "dilation ignored",
        "const int across = column + s + left - j * dilation_w;",
        "const int across = column + s + left - j;",
        _rounded("uneven"),
    ),
    Mutant(
        _DEPTHWISE,
        "columns before the first",
        "if (across >= 0 && w < out_width",
        "if (w < out_width",
        _rounded("strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "columns after the last",
        "if (across >= 0 && w < out_width &&",
        "if (across >= 0 &&",
        _rounded("strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "stores after the last column",
        "    if (column + s < width) {",
        "    if (column + s <= width) {",
        _rounded("uneven"),
    ),
    Mutant(
        _DEPTHWISE,
        "products rounded before the sum",
        "sums[s] = fma(float(line[w * channels]), tap, sums[s]);",
        "sums[s] = float(line[w * channels]) * tap + sums[s];",
        _accuracy("every_product_is_one_instruction", "strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "sums in 16 bits",
        "sums[s] = fma(float(line[w * channels]), tap, sums[s]);",
        "sums[s] = float(T(fma(float(line[w * channels]), tap, sums[s])));",
        _rounded("strided", dtype="float16"),
    ),
    Mutant(
        _DEPTHWISE,
        "result through float16",
        "dx[(row * width + column + s) * channels] = T(sums[s]);",
        "dx[(row * width + column + s) * channels] = T(half(sums[s]));",
        _accuracy("bfloat16_beyond_the_range_of_float16", "strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "offset of an image in 32 bits",
        "dx += size_t(at.z) * size_t(height) * size_t(width * channels) + size_t(c);",
        "dx += int(at.z) * height * (width * channels) + c;",
        _far("strided input gradient"),
    ),
    Mutant(
        _DEPTHWISE,
        "columns across lanes instead of channels",
        "  const int c = int(at.x) % channels;\n  const int column = int(at.x) / channels * S;\n"
        "  const int row = int(at.y);",
        "  const int strips = (width + S - 1) / S;\n  const int c = int(at.x) / strips;\n"
        "  const int column = int(at.x) % strips * S;\n  const int row = int(at.y);",
        _far("strided input gradient"),
    ),
]

_GENERAL_WEIGHT_GRADIENT = [
    Mutant(
        _DEPTHWISE,
        "missing bound of channels",
        "if (c >= channels || i >= kh) {",
        "if (i >= kh) {",
        _WIDE,
    ),
    Mutant(
        _DEPTHWISE,
        "missing bound of kernel rows",
        "if (c >= channels || i >= kh) {",
        "if (c >= channels) {",
        _WIDE,
        "the grid has exactly KH blocks of rows, and a threadgroup is one thread high, so nothing is rounded up",
    ),
    Mutant(
        _DEPTHWISE,
        "sums in 16 bits",
        "sums[j] = fma(slope, window[j], sums[j]);",
        "sums[j] = float(half(fma(slope, window[j], sums[j])));",
        _rounded("general", dtype="float32"),
    ),
    Mutant(
        _DEPTHWISE,
        "lines of the next chunk",
        "const int end = min(begin + count, lines);",
        "const int end = min(begin + count + 1, lines);",
        _rounded("general"),
    ),
    Mutant(
        _DEPTHWISE,
        "row without its image",
        "(line - n * out_height) * stride_h",
        "line * stride_h",
        _rounded("general"),
    ),
    Mutant(
        _DEPTHWISE,
        "every image is the first",
        "    const int n = line / out_height;",
        "    const int n = line / out_height * 0;",
        _rounded("gaps"),
    ),
    Mutant(
        _DEPTHWISE,
        "bias summed without lines outside",
        "    if (!inside && at.y != 0) {",
        "    if (!inside) {",
        _rounded("strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "lines outside not skipped",
        "    if (!inside && at.y != 0) {",
        "    if (false) {",
        _rounded("strided"),
        "every load of x asks for `inside`, so a line outside adds zeros; skipping it saves time",
    ),
    Mutant(
        _DEPTHWISE,
        "bias summed by every block",
        "  if (at.y == 0) {\n    partial",
        "  if (true) {\n    partial",
        _rounded("general"),
    ),
    Mutant(
        _DEPTHWISE,
        "window one column late",
        "const int v = j0 + j - 1 - left;",
        "const int v = j0 + j - left;",
        _rounded("general"),
    ),
    Mutant(
        _DEPTHWISE,
        "window not filled at the start of a line",
        "(DENSE && inside && j > 0 && v >= 0 && v < width)",
        "false",
        _rounded("general"),
    ),
    Mutant(
        _DEPTHWISE,
        "window filled with one value more",
        "(DENSE && inside && j > 0 && v >= 0 && v < width)",
        "(DENSE && inside && v >= 0 && v < width)",
        _rounded("general"),
        "the first value of the window moves out of it before it is used",
    ),
    Mutant(
        _DEPTHWISE,
        "columns of x without the stride",
        "const int v = w * stride_w + (j0 + j) * dilation_w - left;",
        "const int v = w + (j0 + j) * dilation_w - left;",
        _rounded("strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "first kernel column ignored",
        "const int v = w * stride_w + (j0 + j) * dilation_w - left;",
        "const int v = w * stride_w + j * dilation_w - left;",
        _rounded("strided"),
    ),
    Mutant(
        _DEPTHWISE,
        "products rounded before the sum",
        "sums[j] = fma(slope, window[j], sums[j]);",
        "sums[j] = slope * window[j] + sums[j];",
        _accuracy("every_product_is_one_instruction", "general"),
    ),
    Mutant(
        _DEPTHWISE,
        "partial sums of all chunks in one place",
        "partial += size_t(at.z) * size_t(kh * kw + 1)",
        "partial += size_t(0) * size_t(kh * kw + 1)",
        _rounded("general"),
    ),
    Mutant(
        _DEPTHWISE,
        "offset of an image in 32 bits",
        "X values = x + (size_t(n) * size_t(height) * size_t(width * channels) + size_t(c));",
        "X values = x + (n * height * (width * channels) + c);",
        _far("general weight gradient"),
    ),
    Mutant(
        _DEPTHWISE,
        "offset of a line in 32 bits",
        "Dy gradient = dy + (size_t(line) * size_t(out_width * channels) + size_t(c));",
        "Dy gradient = dy + (line * (out_width * channels) + c);",
        _far("general weight gradient"),
    ),
]

# GELU with its bias, and GRN ------------------------------------------------------------------------------------------

_GELU_SHADER = [
    Mutant(
        _GELU,
        "slope below the limit not 0",
        "return vanishes ? 0.0f : fma(x, p / q, 0.5f);",
        "return fma(x, p / q, 0.5f);",
        _VALUES,
    ),
    Mutant(_GELU, "slope not clamped above", "  x = x > 6.0f ? 6.0f : x;\n", "", _VALUES),
    Mutant(
        _GELU,
        "slope with a wrong coefficient",
        "p = fma(p, s, -0.030758892f);",
        "p = fma(p, s, 0.030758892f);",
        _VALUES,
    ),
    Mutant(
        _GELU,
        "value below the limit not 0",
        "return vanishes ? 0.0f : x * fma(v, p / q, 0.5f);",
        "return x * fma(v, p / q, 0.5f);",
        _GRN_VALUES,
    ),
    Mutant(_GELU, "value of the clamped argument", "x * fma(v, p / q, 0.5f)", "v * fma(v, p / q, 0.5f)", _GRN_VALUES),
    Mutant(
        _GELU,
        "value with a wrong coefficient",
        "q = fma(q, s, 0.249191378f);",
        "q = fma(q, s, 0.249091378f);",
        _GRN_VALUES,
    ),
    Mutant(
        _GELU,
        "missing bound of channels",
        "  if (c >= channels) {\n    return;\n  }\n  const int chunk_rows = (rows ",
        "  const int chunk_rows = (rows ",
        _tests("test_biased_gelu", "whole_threadgroups_as_cuda_launches_them"),
    ),
    Mutant(
        _GELU,
        "rows of the next chunk",
        "const int end = min(begin + chunk_rows, rows);",
        "const int end = min(begin + chunk_rows + 1, rows);",
        _VALUES,
    ),
    Mutant(
        _GELU,
        "rows after the last",
        "const int end = min(begin + chunk_rows, rows);",
        "const int end = begin + chunk_rows;",
        _VALUES,
    ),
    Mutant(
        _GELU,
        "offset of a row in 32 bits",
        "const size_t i = size_t(row) * size_t(channels) + size_t(c);",
        "const int i = row * channels + c;",
        _far("gelu gradient"),
    ),
    Mutant(
        _GELU,
        "bias ignored",
        "gelu_slope(float(h[i]) + shift)",
        "gelu_slope(float(h[i]))",
        _VALUES,
    ),
    Mutant(_GELU, "factor of another image", "factor[row / image_rows]", "factor[row / (image_rows + 1)]", _VALUES),
    Mutant(
        _GELU,
        "gradient through float16",
        "    dh[i] = T(value);\n    sum += value;\n  }\n  sums[at.y * uint(channels)",
        "    dh[i] = T(half(value));\n    sum += value;\n  }\n  sums[at.y * uint(channels)",
        _GELU_16,
    ),
    Mutant(
        _GELU,
        "sum for the bias without the factor",
        "      value *= float(factor[row / image_rows]);",
        "      dh[i] = T(value * float(factor[row / image_rows]));",
        _VALUES,
    ),
    Mutant(
        _GELU,
        "sums of all chunks in one place",
        "sums[at.y * uint(channels) + uint(c)] = sum;",
        "sums[uint(c)] = sum;",
        _VALUES,
    ),
    Mutant(
        _GELU,
        "squares not squared",
        "gelu_value(float(h[i]) + shift);\n    sum = fma(x, x, sum);",
        "gelu_value(float(h[i]) + shift);\n    sum = fma(x, 1.0f, sum);",
        _GRN_VALUES,
    ),
    Mutant(
        _GELU,
        "squares summed in 16 bits",
        "gelu_value(float(h[i]) + shift);\n    sum = fma(x, x, sum);",
        "gelu_value(float(h[i]) + shift);\n    sum = float(half(fma(x, x, sum)));",
        _GRN_16,
    ),
    Mutant(
        _GELU,
        "products summed in 16 bits",
        "product = fma(d, gelu_value(float(h[i]) + shift), product);",
        "product = float(half(fma(d, gelu_value(float(h[i]) + shift), product)));",
        _GRN_16,
    ),
    Mutant(
        _GELU,
        "sum of the products lost",
        "sums[at_chunk * size_t(channels) + size_t(c)] = product;",
        "sums[at_chunk * size_t(channels) + size_t(c)] = sum;",
        _GRN_VALUES,
    ),
    Mutant(
        _GELU,
        "scale of the first image for all",
        "size_t(image) * size_t(channels) + size_t(c);\n  const float times = float(scale[at_image])",
        "size_t(c);\n  const float times = float(scale[at_image])",
        _GRN_VALUES,
    ),
    Mutant(
        _GELU,
        "shift without the value",
        "gelu_value(z) * plus",
        "plus",
        _GRN_VALUES,
    ),
    Mutant(
        _GELU,
        "sums by chunk and image exchanged",
        "sums[(size_t(image) * size_t(grid.y) + size_t(at.y)) * size_t(channels) + size_t(c)] = sum;",
        "sums[(size_t(image) + size_t(at.y)) * size_t(channels) + size_t(c)] = sum;",
        _GRN_VALUES,
    ),
    Mutant(
        _GELU,
        "rows of a padded gradient without the columns",
        "const size_t from = size_t(row) * size_t(width) + size_t(c);",
        "const size_t from = size_t(row) * size_t(channels) + size_t(c);",
        _PADDED,
    ),
    Mutant(
        _GELU,
        "rows of a padded gradient without the columns, in the sums",
        "const float d = float(dy[row_in_all * size_t(width) + size_t(c)]);\n    product",
        "const float d = float(dy[i]);\n    product",
        _GRN_PADDED,
    ),
    Mutant(
        _GELU,
        "rows of a padded gradient without the columns, with a scale",
        "const float d = float(dy[row_in_all * size_t(width) + size_t(c)]);\n    const float value",
        "const float d = float(dy[i]);\n    const float value",
        _GRN_PADDED,
    ),
    Mutant(_GELU, "column without the factor", "T(c == channels ? all : 0.0f)", "T(c == channels)", _PADDED),
    Mutant(_GELU, "no zeros after the factor", "T(c == channels ? all : 0.0f)", "T(all)", _PADDED),
    Mutant(_GELU, "factor of the first image", "float(factor[image])", "float(factor[0])", _PADDED),
    Mutant(
        _GELU,
        "padded gelu without the factor",
        "SCALE ? float(scale[at_image]) : all",
        "SCALE ? float(scale[at_image]) : 1.0f",
        _PADDED,
    ),
    Mutant(_GELU, "padded gelu without the shift", "times, plus));", "times, 0.0f));", _GRN_PADDED),
    Mutant(
        _GELU,
        "missing bound of the width",
        "Y y, uint3 at, uint3 grid) {\n  const int rows = sizes[0], channels = sizes[1], image_rows = sizes[2], "
        "width = sizes[3];\n  const int c = int(at.x), image = int(at.z);\n  if (c >= width || ",
        "Y y, uint3 at, uint3 grid) {\n  const int rows = sizes[0], channels = sizes[1], image_rows = sizes[2], "
        "width = sizes[3];\n  const int c = int(at.x), image = int(at.z);\n  if (",
        _tests("test_biased_gelu", "whole_threadgroups_as_cuda_launches_them"),
    ),
    Mutant(
        _GELU,
        "missing bound of the width, with sums",
        "Sums sums, uint3 at, uint3 grid) {\n  const int rows = sizes[0], channels = sizes[1], image_rows = sizes[2], "
        "width = sizes[3];\n  const int c = int(at.x), image = int(at.z);\n  if (c >= width || ",
        "Sums sums, uint3 at, uint3 grid) {\n  const int rows = sizes[0], channels = sizes[1], image_rows = sizes[2], "
        "width = sizes[3];\n  const int c = int(at.x), image = int(at.z);\n  if (",
        _ONE_PASS,
    ),
    Mutant(_GELU, "ones elsewhere, with sums", "c == channels ? 1.0f : 0.0f", "c == channels ? 0.0f : 1.0f", _ONE_PASS),
    Mutant(_GELU, "squares of gelu written", "= T(x);", "= T(x * x);", _ONE_PASS),
    Mutant(
        _GELU,
        "squares summed in 16 bits, with gelu",
        "= T(x);\n    sum = fma(x, x, sum);",
        "= T(x);\n    sum = float(half(fma(x, x, sum)));",
        _ONE_PASS,
    ),
]

# What launches them ---------------------------------------------------------------------------------------------------

_HOST = [
    Mutant(_TILING, "threadgroups above the pipeline's limit", "\nTHREADS = 128 ", "\nTHREADS = 1024 ", _LAUNCHES),
    Mutant(_TILING, "strips of 16", "STRIPS = (4, ", "STRIPS = (16, ", _BATCH + _TILINGS),
    Mutant(_TILING, "strips of 3 by default", "_TILES = ((4, 14),", "_TILES = ((3, 14),", _BATCH),
    Mutant(_TILING, "too few threads for a single image", "_MIN_THREADS = 4096", "_MIN_THREADS = 64", _SINGLE),
    Mutant(_TILING, "few chunks for small batches", "_TARGET_THREADS = 16384", "_TARGET_THREADS = 1", _SMALL),
    Mutant(
        _TILING,
        "too few threads in the weight gradient",
        '_WEIGHT_GRADIENT_THREADS = {"metal": 32768,',
        '_WEIGHT_GRADIENT_THREADS = {"metal": 1024,',
        ("tests/kernels/depthwise_conv2d/test_tiling.py",),
    ),
    Mutant(
        _LAUNCH,
        "grid without the remainder of columns",
        "            grid=(c * -(-ow // strip), oh, n),",
        "            grid=(c * max(ow // strip, 1), oh, n),",
        _rounded("general"),
    ),
    Mutant(
        _LAUNCH,
        "grid of the input gradient by the output",
        "            grid=(c * -(-width // strip), height, n),",
        "            grid=(c * -(-width // strip), geometry.output[0], n),",
        _rounded("strided"),
    ),
    Mutant(
        _LAUNCH,
        "kernel rows not covered",
        "blocks = kh * -(-kw // _TAPS)",
        "blocks = kh",
        _rounded("general"),
    ),
    Mutant(
        _LAUNCH,
        "rolling kernels above their size",
        "_MAX_ROLLING_KERNEL = 7",
        "_MAX_ROLLING_KERNEL = 9",
        _CHOICE,
    ),
    Mutant(
        _LAUNCH,
        "kernel size in the wrong order",
        "library.sizes(*geometry.kernel, *geometry.stride, *geometry.dilation)",
        "library.sizes(*geometry.kernel[::-1], *geometry.stride, *geometry.dilation)",
        _rounded("general"),
    ),
    Mutant(
        _LAUNCH,
        "padding after instead of before",
        "    (top, _), (left, _) = geometry.padding",
        "    (_, top), (_, left) = geometry.padding",
        _rounded("lopsided"),
    ),
    Mutant(
        _LAUNCH,
        "dense with a horizontal stride",
        "        dense = geometry.stride[1] == geometry.dilation[1] == 1\n        strip = 8",
        "        dense = geometry.dilation[1] == 1\n        strip = 8",
        _rounded("strided"),
    ),
    Mutant(
        _LAUNCH,
        "gradient of the bias from the first tap",
        "sums[:-1].reshape(kh, kw, c), sums[-1]",
        "sums[:-1].reshape(kh, kw, c), sums[0]",
        _rounded("rolling"),
    ),
    Mutant(
        _GEOMETRY,
        "padding of the gradient not mirrored",
        "(extent - 1 - low, extent - 1 - high)",
        "(extent - 1 - high, extent - 1 - low)",
        _rounded("lopsided"),
    ),
    Mutant(_DISPATCH, "images of 2^31 elements", "largest >= 2**31", "largest >= 2**33", _CHOICE),
    Mutant(_DISPATCH, "float64 on the GPU", "dtype not in launch.DTYPES or", "False or", _CHOICE),
    Mutant(
        _DISPATCH,
        "grids beyond CUDA's limit",
        "max(images, height, width, oh, ow) >= 2**16",
        "max(height, width, oh, ow) >= 2**16",
        _CHOICE,
    ),
    Mutant(
        _LIBRARY,
        "strided inputs not copied",
        'mx.fast.metal_kernel(f"lucid_{name}", inputs, outputs, call, header)',
        'mx.fast.metal_kernel(f"lucid_{name}", inputs, outputs, call, header, False)',
        _tests("test_library", "strided_inputs_are_copied"),
    ),
    Mutant(
        _BIASED_GELU,
        "threadgroups above the pipeline's limit",
        "_THREADS = 128",
        "_THREADS = 1024",
        _tests("test_biased_gelu", "every_pipeline_supports_the_threadgroup"),
    ),
    Mutant(_BIASED_GELU, "many partial sums", "_MIN_ROWS = 64 ", "_MIN_ROWS = 1 ", _VALUES),
    Mutant(
        _BIASED_GELU,
        "one chunk",
        "min(-(-_TARGET_THREADS // channels), rows // _MIN_ROWS)",
        "min(1, rows // _MIN_ROWS)",
        _VALUES,
    ),
    Mutant(
        _GRN,
        "gradient of the norm without its factor of two",
        "mx.where(squares > 0, slope, 0)",
        "mx.where(squares > 0, slope / 2, 0)",
        _GRN_VALUES,
    ),
    Mutant(
        _GRN,
        "gradient of the mean forgotten",
        "(d_scale * weight - total / channels)",
        "(d_scale * weight)",
        _GRN_VALUES,
    ),
    Mutant(
        _GRN,
        "infinite gradient of a channel of zeros",
        "mx.where(squares > 0, slope, 0)",
        "slope",
        _tests("test_gelu_grn", "a_channel_of_zeros_gets_finite_gradients"),
    ),
    Mutant(
        _PRODUCT,
        "factor forgotten in the gradient of the scale",
        "        d_scale = d_scale * one.reshape(-1, 1)\n",
        "        pass\n",
        _PRODUCTS,
    ),
    Mutant(
        _PRODUCT,
        "bias without the factor",
        "ones = factor[0].reshape(-1, 1) if factor else mx.ones(",
        "ones = mx.ones(",
        _PRODUCTS,
    ),
    Mutant(
        _PRODUCT,
        "gradient of the matrix without the scale",
        "scales.T[:, None, :]",
        "mx.ones_like(scales.T)[:, None, :]",
        _PRODUCTS,
    ),
    Mutant(
        _BIASED_GELU,
        "grid without the columns",
        "        grid=(width, chunks, images),",
        "        grid=(channels, chunks, images),",
        _PADDED,
    ),
    Mutant(
        _GRN,
        "rows of all images in one",
        "return library.sizes(images * height * width_px, channels, height * width_px, width)",
        "return library.sizes(images * height * width_px, channels, images * height * width_px, width)",
        _GRN_VALUES,
    ),
]

MUTANTS = [
    *_ROLLING,
    *_ROLLING_WEIGHT_GRADIENT,
    *_GENERAL_FORWARD,
    *_STRIDED,
    *_GENERAL_WEIGHT_GRADIENT,
    *_GELU_SHADER,
    *_HOST,
]
