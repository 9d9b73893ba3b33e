import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import pytest

from lucid import _device, memory

pytestmark = pytest.mark.usefixtures("settled")


def test_active_and_peak_follow_an_array():
    memory.clear_cache()
    before = memory.active()
    array = mx.zeros((512, 512)) + 1.0
    mx.eval(array)
    assert memory.active() - before >= 512 * 512 * 4
    assert memory.peak() >= memory.active()
    del array
    assert memory.active() - before < 512 * 512 * 4


def test_reset_forgets_the_peak():
    mx.eval(mx.zeros((1024, 1024)) + 1.0)
    high = memory.peak()
    memory.reset()
    assert memory.peak() < high


def test_clear_cache_empties_the_cache():
    mx.eval(mx.zeros((1024, 1024)) + 1.0)
    memory.clear_cache()
    assert memory.cache() == 0


def test_limits_return_the_previous_value():
    former = memory.limit()
    assert memory.limit(1 << 30) == former
    assert memory.limit() == 1 << 30
    assert memory.limit(former) == 1 << 30
    cached = memory.cache_limit(1 << 20)
    assert memory.cache_limit(cached) == 1 << 20


@pytest.mark.parametrize("name", ["limit", "cache_limit"])
def test_a_negative_limit_raises(name):
    with pytest.raises(ValueError, match=rf"memory\.{name}: max_bytes must be at least 0, got -1"):
        getattr(memory, name)(-1)


@pytest.mark.skipif(not Path("/proc/self/status").exists() or _device.backend() != "cpu", reason="needs Linux's RES")
def test_resident_memory_is_active_plus_cache():
    # In a separate process: after other tests, free memory may already be resident.
    subprocess.run([sys.executable, "-c", SHOWN_BY_THE_SYSTEM], cwd=ROOT, check=True, timeout=120)


ROOT = Path(__file__).parents[1]
SHOWN_BY_THE_SYSTEM = """
from pathlib import Path

from lucid import memory
import mlx.core as mx


def resident():
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


mx.eval(mx.zeros(10) + 1.0)
size = 64 * 2**20
memory.cache_limit(4 * size)
memory.clear_cache()
before = resident()
array = mx.zeros(size // 4) + 1.0
mx.eval(array)
del array
assert memory.cache() >= size
assert resident() - before > 0.9 * size
memory.clear_cache()
assert resident() - before < 0.2 * size
"""


def test_the_total_is_more_than_what_is_in_use():
    assert memory.active() < memory.total() < 1 << 50 and memory.total() > 1 << 28
