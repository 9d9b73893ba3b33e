"""Compare the values and gradients of a function in both data formats."""

import numpy as np

import lucid


def same_in_both(op, shape, *parameters, batch=True):
    """Compare ``op(x, *parameters, data_format=...)`` in both formats; ``parameters`` are shapes or tensors."""
    rng = np.random.default_rng(0)
    channels = 1 if batch else 0
    x = rng.standard_normal(shape).astype(np.float32)
    values = [rng.standard_normal(one).astype(np.float32) for one in parameters]
    cotangent = None
    outputs, gradients = [], []
    for data_format in ("channels_first", "channels_last"):
        last = data_format == "channels_last"
        image = lucid.tensor(np.moveaxis(x, channels, -1) if last else x, requires_grad=True)
        rest = [lucid.tensor(one, requires_grad=True) for one in values]
        y = op(image, *rest, data_format=data_format)
        value = np.moveaxis(y.detach().numpy(), -1, channels) if last else y.detach().numpy()
        if cotangent is None:
            cotangent = rng.standard_normal(value.shape).astype(np.float32)
        y.backward(np.moveaxis(cotangent, channels, -1) if last else cotangent)
        dx = np.moveaxis(image.grad.numpy(), -1, channels) if last else image.grad.numpy()
        outputs.append(value)
        gradients.append([dx, *(one.grad.numpy() for one in rest)])
    assert outputs[0].shape == outputs[1].shape
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-5, atol=1e-5)
    for first, second in zip(*gradients, strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-5, atol=1e-5)
