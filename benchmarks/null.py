"""A null distribution of a million pairs, for all stages."""

import resource
import time

from benchmarks.published import load_case, load_null
from metamers.matching import Representation, null_distribution
from metamers.models import fit_to_model

IMAGES = 4000
PAIRS = 1_000_000


def null_of_a_million_pairs() -> dict[str, object]:
    """Seconds and peak memory (GB, of the whole process) for all stages of `cifar_resnet20` from 4,000 images."""
    model, images = load_case("cifar_resnet20", 1)
    model, _ = fit_to_model(model, images)
    stimuli = load_null("cifar_resnet20", IMAGES)
    begun = time.perf_counter()
    pairs = [null_distribution(model, Representation((stage,)), stimuli, pairs=PAIRS).n_pairs for stage in model.stages]
    spent = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"stages": len(model.stages), "pairs": min(pairs), "seconds": spent, "peak_gb": peak}


if __name__ == "__main__":
    import json

    print(json.dumps(null_of_a_million_pairs()))
