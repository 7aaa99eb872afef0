"""Adam, the optimizer that most code for such searches uses."""

from dataclasses import replace

from metamers.synthesis.recipe import Recipe

ADAM = Recipe(
    name="adam",
    optimizer="adam",
    step_size=0.02,
    schedule="cosine",
    steps=800,
    early_stop=True,
    keep_best=True,
    loss="norm",
    start="noise",
    start_std=0.05,
    relu_gradient="identity",
)
"""Steps of one size in every pixel, whatever its gradient, so that each ends as noise where the model does not care:
metamers of late stages look less like anything, and are recognized less, than those that change few pixels."""

ADAM_SOUND = replace(ADAM, step_size=0.005, start_std=0.01)
"""For sounds. It cannot begin near silence: after the gradients there, which are huge, its steps have no length."""
