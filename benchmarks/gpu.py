"""What a metamer costs on a GPU, beside a transcription of the published loop: `python -m benchmarks.gpu`, where there
is one, prints JSON, which is kept in benchmarks/gpu.json."""

import json
import time
from collections.abc import Callable

import torch

import metamers
from benchmarks.end_to_end import PUBLISHED_STEPS, transcribed
from metamers.matching import Representation
from metamers.synthesis import recipe_named
from metamers.synthesis.engine import search

CASES = (("torchvision:resnet50", "layer4", 64), ("builtin:cochresnet50", "layer4", 32))
"""Models with random weights, which cost what trained ones do; a late stage, and the stimuli of a batch."""
STEPS = 200


def costs(spec: str, stage: str, batch: int) -> dict[str, object]:
    """Milliseconds a step and stimulus, seconds of a stimulus after all steps of `fast` and of the published recipe,
    and those of the transcription, one stimulus at a time; extrapolated from 200 steps."""
    model = metamers.load_model(spec, weights="random", device="cuda")
    references = torch.rand(batch, *model.input_shape, generator=torch.Generator().manual_seed(0)) * 0.5
    recipe = recipe_named("fast", model.kind)
    sought = recipe.with_options(early_stop=False, steps=STEPS)
    arguments = (model, Representation((stage,)), references, references.flip(0), sought)
    search(*arguments)  # warm up
    torch.cuda.reset_peak_memory_stats()
    ours = seconds(lambda: search(*arguments)) / STEPS / batch
    memory = torch.cuda.max_memory_allocated() / 1e9
    reference = references[0].to("cuda")
    transcribed(model, stage, reference, 5)  # warm up
    theirs = seconds(lambda: transcribed(model, stage, reference, STEPS)) / STEPS
    return {
        **{"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "model": spec, "stage": stage},
        **{"batch": batch, "ms_a_step_and_stimulus": 1e3 * ours, "gb": memory, "steps_of_fast": recipe.steps},
        **{"fast_seconds": recipe.steps * ours, "published_steps_seconds": PUBLISHED_STEPS * ours},
        **{"transcription_seconds": PUBLISHED_STEPS * theirs, "ratio_a_step": theirs / ours},
    }


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call, the device's work included."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(json.dumps([costs(*case) for case in CASES], indent=1))
