from lucid._machine import describe_machine, headline


def test_the_headline_names_what_slows_openblas_down(monkeypatch):
    for name in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    machine = describe_machine()
    assert "OPENBLAS_CORETYPE" not in headline(machine) and machine["cpus"] >= 1
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    text = headline(describe_machine())
    assert "OPENBLAS_CORETYPE=Haswell" in text and "may be half as fast" in text and "OMP_NUM_THREADS=3" in text


def test_the_headline_says_on_a_cpu_which_kernels_run():
    machine = describe_machine() | {"backend": "cpu", "blas": None}
    assert "BLAS: of MLX\n" in headline(machine)
    assert "BLAS: of MLX; native kernels: on" in headline(machine | {"native": "on"})
