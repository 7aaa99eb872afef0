import subprocess
import sys
from pathlib import Path

import pytest

from metamers.models.allocator import keep_freed_memory

ON_GLIBC = sys.platform == "linux" and any(Path("/").glob("lib*/**/libc.so.6"))

STEPS = """
import resource, sys
import torch
from metamers.models.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults_of_a_step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    first, second = torch.ones(2**23), torch.ones(2**22)  # 32 and 16 MiB, freed at the end
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(sum(faults_of_a_step() for _ in range(4)), sum(faults_of_a_step() for _ in range(20)))
"""


def page_faults(how: str, **variables: str) -> int:
    """Page faults of 20 steps after the first 4."""
    run = [sys.executable, "-c", STEPS, how]
    done = subprocess.run(run, capture_output=True, text=True, check=True, env={"PATH": "", **variables})
    return int(done.stdout.split()[1])


class Library:
    """A C library whose `mallopt` takes thresholds of memory mapping up to `most`."""

    def __init__(self, most):
        self.most, self.set = most, {}

    def mallopt(self, option, value):
        if option == -3 and value > self.most:
            return 0
        self.set[option] = value
        return 1


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (2**60, {-3: 2**30, -1: 2**30}),
        (2**25, {-3: 2**25, -1: 2**30}),  # glibc before about 2.35
        (0, {}),  # the trim threshold alone would be worse than nothing
    ],
)
def test_both_thresholds_are_set_or_none(monkeypatch, most, expected):
    library = Library(most)
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    keep_freed_memory.__wrapped__()
    assert library.set == expected


@pytest.mark.skipif(not ON_GLIBC, reason="needs glibc")
def test_freed_memory_stays_with_the_process_unless_the_environment_decides_it():
    assert page_faults("keep") < page_faults("default") / 20
    given = str(2**17)
    assert page_faults("keep", MALLOC_MMAP_THRESHOLD_=given) > page_faults("default") / 2
