"""Fourier transforms and window functions. Complex numbers are compared by their parts."""

from tests.reference.case import Case, constant, positive, real, whole

PAIRS = ("fft", "ifft", "hfft", "irfft")
REAL = ("rfft", "ihfft")
NORMS = (None, "forward", "ortho")


def of(lib, x):
    """A complex tensor from the pairs in the last dimension."""
    return lib.view_as_complex(x) if x.shape[-1] == 2 else x


def parts(lib, x):
    return lib.view_as_real(x.resolve_conj()) if "complex" in str(x.dtype) else x


def call(lib, name, x, *args, **kwargs):
    return parts(lib, getattr(lib.fft, name)(of(lib, x), *args, **kwargs))


CASES = [
    Case(
        f"{name}: {norm}",
        lambda lib, x, n=name, o=norm: call(lib, n, x, norm=o),
        source(3, 5, 2) if pairs else source(3, 5),
    )
    for names, pairs in ((PAIRS, True), (REAL, False))
    for name in names
    for norm in NORMS
    for source in (real,)
]
for name in PAIRS:
    CASES += [
        Case(f"{name}: cut", lambda lib, x, n=name: call(lib, n, x, 4), real(3, 5, 2)),
        Case(f"{name}: padded, dim", lambda lib, x, n=name: call(lib, n, x, n=7, dim=0), real(3, 5, 2)),
        Case(f"{name}2", lambda lib, x, n=name: call(lib, f"{n}2", x), real(2, 3, 4, 2)),
        Case(f"{name}2: s", lambda lib, x, n=name: call(lib, f"{n}2", x, (4, 3), (0, 1), "ortho"), real(2, 3, 4, 2)),
        Case(f"{name}n", lambda lib, x, n=name: call(lib, f"{n}n", x, norm="forward"), real(2, 3, 4, 2)),
        Case(f"{name}n: s", lambda lib, x, n=name: call(lib, f"{n}n", x, s=(5, -1)), real(2, 3, 4, 2)),
    ]
for name in REAL:
    CASES += [
        Case(f"{name}: cut", lambda lib, x, n=name: call(lib, n, x, 4), real(3, 5)),
        Case(f"{name}: padded, dim", lambda lib, x, n=name: call(lib, n, x, n=7, dim=0), real(3, 5)),
        Case(f"{name}2", lambda lib, x, n=name: call(lib, f"{n}2", x), real(2, 3, 4)),
        Case(f"{name}2: s", lambda lib, x, n=name: call(lib, f"{n}2", x, (4, 3), (0, 1), "ortho"), real(2, 3, 4)),
        Case(f"{name}n", lambda lib, x, n=name: call(lib, f"{n}n", x, norm="forward"), real(2, 3, 4)),
        Case(f"{name}n: dim", lambda lib, x, n=name: call(lib, f"{n}n", x, dim=(2, 0)), real(2, 3, 4)),
    ]
CASES += [
    Case("fft of whole numbers", lambda lib, x: call(lib, "fft", x), whole(5)),
    Case("fftshift", lambda lib, x: [lib.fft.fftshift(x), lib.fft.fftshift(x, 1)], real(3, 4)),
    Case("ifftshift", lambda lib, x: [lib.fft.ifftshift(x), lib.fft.ifftshift(x, dim=(0,))], real(3, 4)),
    Case(
        "fftfreq",
        lambda lib: [lib.fft.fftfreq(5), lib.fft.fftfreq(4, 0.5), lib.fft.rfftfreq(5), lib.fft.rfftfreq(4, d=2.0)],
    ),
]
for name in ("bartlett", "blackman", "cosine", "exponential", "gaussian", "hamming", "hann", "kaiser", "nuttall"):
    CASES.append(
        Case(
            f"windows.{name}",
            lambda lib, n=name: [getattr(lib.signal.windows, n)(m, sym=s) for m in (1, 2, 7, 8) for s in (True, False)],
        )
    )
for name in ("bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"):
    CASES.append(
        Case(name, lambda lib, n=name: [getattr(lib, n)(m, periodic=p) for m in (1, 2, 7, 8) for p in (True, False)])
    )
CASES += [
    Case("windows.general_cosine", lambda lib: lib.signal.windows.general_cosine(7, a=[0.4, 0.3, 0.2], sym=False)),
    Case("windows.general_hamming", lambda lib: lib.signal.windows.general_hamming(7, alpha=0.6)),
    Case("windows: options", lambda lib: lib.signal.windows.gaussian(7, std=2.0)),
    Case("kaiser_window: beta", lambda lib: lib.kaiser_window(7, True, beta=5.0)),
    Case("hamming_window: alpha", lambda lib: lib.hamming_window(7, True, alpha=0.6, beta=0.3)),
    Case("stft", lambda lib, x, w: parts(lib, lib.stft(x, 8, 3, window=w, return_complex=True)), real(2, 21), real(8)),
    Case(
        "stft: options",
        lambda lib, x, w: parts(
            lib, lib.stft(x, 8, 2, 6, w, center=False, normalized=True, onesided=False, return_complex=True)
        ),
        real(21),
        real(6),
    ),
    Case("stft: padding", lambda lib, x: lib.stft(x, 6, pad_mode="constant", return_complex=False), real(11)),
    Case(
        "istft",
        lambda lib, x: lib.istft(lib.view_as_complex(x), 8, 2, window=lib.hann_window(8, dtype=x.dtype), length=11),
        real(2, 5, 7, 2),
    ),
    Case("istft: options", lambda lib, x: lib.istft(lib.view_as_complex(x), 6, 3, normalized=True), real(4, 5, 2)),
]
CASES += [
    Case("complex", lambda lib, a, b: lib.view_as_real(lib.complex(a, b)), real(2, 3), real(2, 3)),
    Case("polar", lambda lib, a, b: lib.view_as_real(lib.polar(a, b)), positive(2, 3), real(2, 3)),
    Case(
        "real, imag", lambda lib, x: [of(lib, x).real, of(lib, x).imag, lib.real(x), lib.imag(of(lib, x))], real(3, 2)
    ),
    Case("conj", lambda lib, x: [parts(lib, of(lib, x).conj()), parts(lib, lib.conj_physical(of(lib, x)))], real(3, 2)),
    Case("angle", lambda lib, x: [lib.angle(of(lib, x)), lib.angle(x)], real(3, 2, away=0.1)),
    Case("abs", lambda lib, x: lib.abs(of(lib, x)), real(3, 2)),
    Case(
        "arithmetic",
        lambda lib, x, y: parts(lib, of(lib, x) * of(lib, y) / (of(lib, x) + 2j) - 3),
        real(3, 2),
        real(3, 2),
    ),
    Case("with real", lambda lib, x, y: parts(lib, of(lib, x) * y + y), real(3, 2), real(3)),
    Case("matmul", lambda lib, x, y: parts(lib, of(lib, x) @ of(lib, y)), real(2, 3, 2), real(3, 4, 2)),
    Case("exp", lambda lib, x: [parts(lib, f(of(lib, x))) for f in (lib.exp, lib.sin, lib.cos)], real(3, 2)),
    Case("log, sqrt", lambda lib, x: [parts(lib, f(of(lib, x))) for f in (lib.log, lib.sqrt)], real(3, 2, away=0.5)),
    Case("sums", lambda lib, x: [parts(lib, f(of(lib, x))) for f in (lib.sum, lib.mean)], real(3, 2)),
    Case("resolve", lambda lib, x: [lib.resolve_conj(x), lib.resolve_neg(x), x.is_conj(), x.is_neg()], constant(3)),
]
