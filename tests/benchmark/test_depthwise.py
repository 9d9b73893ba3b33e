"""How calls of the convolution are timed; the example's tests compare with MLX."""

import mlx.core as mx

from lucid.benchmark import depthwise


def test_calls_are_chained():
    case = depthwise.Case(2, 5, 4, 3, 3, "float32")
    x, weight, _ = arrays = case.arrays()
    ours = depthwise.OnMlx("ours", depthwise.our_convolution, case, arrays, eager=True)
    [found] = [
        cell.cell_contents for cell in ours.prepare("forward", 3).__closure__ if isinstance(cell.cell_contents, list)
    ]
    wanted = x
    for _ in range(3):
        wanted = depthwise.mlx_convolution(wanted, weight, case)
    assert mx.allclose(found[0], wanted, rtol=1e-4, atol=1e-6)
