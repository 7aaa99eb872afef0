"""From images to verified metamers, beside a faithful transcription of the published loop."""

import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import metamers
from benchmarks.published import load_case, load_null
from metamers.matching import Representation
from metamers.models import fit_to_model
from metamers.study import ModelTask, Settings, run_local
from metamers.synthesis import recipe_named

IMAGES = 16
TIMED_STEPS = 200
PUBLISHED_STEPS = 24_000


def end_to_end(name: str) -> dict[str, object]:
    """Seconds for metamers of 16 images at all stages: ours made, written and verified; the transcription extrapolated
    from 200 steps of one image at each stage."""
    model, images = load_case(name, IMAGES)
    null = load_null(name, 400)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        fitted, stimuli = fit_to_model(model, images)
        task = ModelTask(fitted, stimuli, tuple(Representation((stage,)) for stage in fitted.stages))
        run_local(Path(folder) / "run", [task], Settings((recipe_named("fast"),), None, null_stimuli=null))
        made = time.perf_counter() - begun
        outcome = metamers.verify(Path(folder) / "run")
    ours = time.perf_counter() - begun
    theirs = 0.0
    for stage in fitted.stages:
        transcribed(model, stage, images.read([0])[0], 5)  # warm up
        begun = time.perf_counter()
        transcribed(model, stage, images.read([0])[0], TIMED_STEPS)
        theirs += (time.perf_counter() - begun) / TIMED_STEPS * PUBLISHED_STEPS * IMAGES
    return {
        **{"model": name, "stages": len(fitted.stages), "cells": outcome.n_cells, "passed": outcome.n_passed},
        **{
            "seconds": ours,
            "of_which_verification": ours - made,
            "transcription_seconds": theirs,
            "ratio": theirs / ours,
        },
    }


def transcribed(model: metamers.StagedModel, stage: str, reference: Tensor, steps: int) -> Tensor:
    """The published loop (METHOD: the authors' code): one image, two full forward passes a step, to the last layer."""
    activations: dict[str, Tensor] = {}
    module = model.network if stage == "output" else model.network.get_submodule(stage)
    handle = module.register_forward_hook(lambda _, __, output: activations.__setitem__("a", output))
    x0 = reference[None]
    x = (torch.randn_like(x0) * 0.05 + 0.5).clamp(0, 1)
    try:
        for step in range(steps):
            x = x.detach().requires_grad_()
            with torch.no_grad():
                model.network(x0)
                target = activations["a"].flatten(1)
            model.network(x)
            loss = torch.linalg.vector_norm(activations["a"].flatten(1) - target) / torch.linalg.vector_norm(target)
            (g,) = torch.autograd.grad(loss, x)
            with torch.no_grad():
                x = (x - 0.5 ** (step // 3000) * F.normalize(g.flatten(1), eps=1e-10).view_as(g)).clamp(0, 1)
    finally:
        handle.remove()
    return x
