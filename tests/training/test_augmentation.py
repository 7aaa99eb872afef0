"""Augmentations: what they change, and what they leave."""

import torch

from metamers.training.augmentation import augmented, jittered, moved
from metamers.training.config import Augmentation


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n=64, channels=3):
    return torch.rand(n, channels, 10, 12, generator=random(9))


def test_nothing_asked_for_changes_nothing():
    x = noise()
    assert augmented(x, Augmentation(), random()) is x


def test_images_are_moved_each_by_itself():
    x = noise()
    out = moved(x, 2, random())
    shifts = set()
    for before, after in zip(x, out, strict=True):
        fits = [
            (down, across)
            for down in range(-2, 3)
            for across in range(-2, 3)
            if torch.equal(after[:, 2:-2, 2:-2], before[:, 2 + down : 8 + down, 2 + across : 10 + across])
        ]
        assert len(fits) == 1
        shifts.add(fits[0])
    assert len(shifts) > 12


def test_half_are_flipped():
    x = noise()
    out = augmented(x, Augmentation(flip=True), random())
    flipped = (out == x.flip(3)).flatten(1).all(1)
    kept = (out == x).flatten(1).all(1)
    assert bool((flipped ^ kept).all()) and 16 < int(flipped.sum()) < 48


def test_colors_change_within_bounds_and_gray_stays_gray():
    x = noise()
    out = jittered(x, 0.4, random())
    assert float(out.min()) >= 0 and float(out.max()) <= 1
    ratio = out.mean((1, 2, 3)) / x.mean((1, 2, 3))
    assert 0.5 < float(ratio.min()) < 0.8 and 1.1 < float(ratio.max()) < 1.5
    gray = x[:, :1].expand(-1, 3, -1, -1)
    changed = jittered(gray, 0.4, random())
    assert torch.allclose(changed[:, 0], changed[:, 1], atol=1e-6) and not torch.allclose(changed, gray, atol=0.05)
    assert jittered(noise(channels=1), 0.4, random()).shape == (64, 1, 10, 12)


def test_the_seed_decides():
    x = noise()
    all_of_them = Augmentation(crop=2, flip=True, color_jitter=0.2)
    assert torch.equal(augmented(x, all_of_them, random(1)), augmented(x, all_of_them, random(1)))
    assert not torch.equal(augmented(x, all_of_them, random(1)), augmented(x, all_of_them, random(2)))
