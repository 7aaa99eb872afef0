import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.skipif(not ON_GLIBC, reason="needs glibc")
def test_freed_memory_stays_with_the_process_unless_the_environment_decides_it():
    assert page_faults("keep") < page_faults("default") / 20
    given = str(2**17)
    assert page_faults("keep", MALLOC_MMAP_THRESHOLD_=given) > page_faults("default") / 2
