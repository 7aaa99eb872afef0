"""What a cochleagram costs, forward and backward: a process for each mode, as memory is that of a process."""

import json
import resource
import subprocess
import sys
import time
from statistics import median

import torch

from metamers.models import Cochleagram

RATE, SECONDS, REPEATS = 20_000, 2, 15


def cochleagram_costs() -> list[dict[str, object]]:
    """A row for each mode: milliseconds for a 2 s clip at 20 kHz (median), and the memory that it takes (MB)."""
    rows = []
    for mode in ("exact", "fast"):
        command = [sys.executable, "-m", "benchmarks.cochleagram", mode]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    return [{**row, "speedup": rows[0]["ms"] / row["ms"]} for row in rows]


def cost(mode: str) -> dict[str, object]:
    """One mode's row, of this process."""
    cochleagram = Cochleagram(sample_rate=RATE, mode=mode)
    sound = (0.05 * torch.randn(1, RATE * SECONDS, generator=torch.Generator().manual_seed(0))).requires_grad_()
    Cochleagram(sample_rate=RATE, mode="fast", n_filters=2, overlap=1)(
        sound
    ).sum().backward()  # what torch itself takes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        cochleagram(sound).sum().backward()
        times.append(1000 * (time.perf_counter() - begun))
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"mode": mode, "ms": median(times), "mb": taken / 1000}


if __name__ == "__main__":
    print(json.dumps(cost(sys.argv[1])))
