"""Fourier transforms, windows and complex numbers agree with PyTorch, and reject invalid arguments."""

import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("fft"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: lucid.fft.fft(x, 0), ValueError, "fft: a size to transform must be at least 1, got 0 for dim 1"),
        (lambda x: lucid.fft.fft(x, norm="half"), ValueError, "fft: norm must be 'backward', 'forward' or 'ortho'"),
        (lambda x: lucid.fft.fft(x, dim=2), IndexError, r"fft: dim must be in \[-2, 1\]"),
        (lambda x: lucid.fft.rfft(lucid.fft.fft(x)), TypeError, "rfft: input must be real, got complex64"),
        (lambda x: lucid.fft.fft(x.half()), TypeError, "fft: half precision is not supported, got float16"),
        (lambda x: lucid.fft.fftn(x, (2, 2, 2)), ValueError, "fftn: s has 3 sizes but input 2 dimensions"),
        (lambda x: lucid.fft.fftn(x, (2,), (0, 1)), ValueError, "fftn: s and dim must have the same length"),
        (lambda x: lucid.stft(x, 4), ValueError, "stft: return_complex must be given for real signals"),
        (lambda x: lucid.istft(x, 4), TypeError, "istft: input must be complex64, got float32"),
        (lambda x: lucid.hann_window(-1), ValueError, "hann_window: window_length must be at least 0, got -1"),
        (lambda x: lucid.complex(x, x[0, :1].double()), TypeError, "complex: real and imag must have one dtype"),
        (lambda x: lucid.view_as_complex(x), ValueError, "view_as_complex: the last dimension must have size 2"),
        (lambda x: lucid.imag(x), TypeError, "imag: input must be complex64, got float32"),
    ],
)
def test_invalid_arguments_raise(call, error, message):
    with pytest.raises(error, match=message):
        call(lucid.ones(2, 3))


def test_a_signal_survives_both_transforms():
    x = lucid.randn(3, 64)
    window = lucid.hann_window(16)
    there = lucid.stft(x, 16, 4, window=window, return_complex=True)
    assert lucid.allclose(lucid.istft(there, 16, 4, window=window, length=64), x, atol=1e-5)
