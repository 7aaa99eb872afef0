import numpy as np
import pytest

from metamers.models.gabors import (
    ENVELOPE_COUNTS,
    ENVELOPE_EDGES,
    FREQUENCY_COUNTS,
    FREQUENCY_EDGES,
    ORIENTATION_COUNTS,
    draw_population,
    gabor,
)

MANY = draw_population(40_000, seed=1)


def shares(values, edges):
    return np.histogram(values, edges)[0] / len(values)


def test_orientation_frequency_and_phase_are_drawn_from_the_published_counts():
    orientation = (MANY.orientation + 22.5) % 180
    expected = ORIENTATION_COUNTS / ORIENTATION_COUNTS.sum()
    np.testing.assert_allclose(shares(orientation, [0, 45, 90, 135, 180]), expected, atol=0.01)
    expected = FREQUENCY_COUNTS / FREQUENCY_COUNTS.sum()
    np.testing.assert_allclose(shares(MANY.frequency, FREQUENCY_EDGES), expected, atol=0.01)
    np.testing.assert_allclose(shares(MANY.phase, np.linspace(0, 360, 7)), 1 / 6, atol=0.01)


def test_envelopes_are_drawn_jointly_from_the_published_counts():
    found, _, _ = np.histogram2d(MANY.along, MANY.across, [ENVELOPE_EDGES, ENVELOPE_EDGES])
    np.testing.assert_allclose(found / len(MANY.along), ENVELOPE_COUNTS / ENVELOPE_COUNTS.sum(), atol=0.01)


def test_frequency_goes_with_the_width_along_the_modulation():
    from scipy.stats import spearmanr

    # Spearman's rho of a bivariate normal of correlation r is 6 / pi arcsin(r / 2).
    rho = [float(np.asarray(spearmanr(MANY.frequency, other).statistic)) for other in (MANY.along, MANY.phase)]
    assert rho == pytest.approx([6 / np.pi * np.arcsin(0.375), 0], abs=0.02)


def test_a_seed_gives_the_same_cells():
    again, other = draw_population(40_000, seed=1), draw_population(40_000, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(MANY, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(MANY, other, strict=True))


def test_seed_0_gives_the_published_cells():
    # What generate_gabor_param of dicarlolab/vonenet gives for the 512 cells of VOneNet (seed 0, sf_corr 0.75, sf_max
    # 6): frequency, orientation, phase and both widths of the first, the second and the last.
    published = {
        0: (2.11549426943724, 106.69324166997072, 197.5728614138369, 0.26982312243871, 0.47918378323310),
        1: (4.77579971111135, 98.12721176949456, 257.4681718940710, 0.63590784732325, 1.52001133905814),
        511: (3.67479072240965, 146.9507617314124, 125.4513560520590, 0.37537929412108, 0.83209859726593),
    }
    cells = draw_population(512, seed=0)
    for i, values in published.items():
        assert [float(parameter[i]) for parameter in cells] == pytest.approx(values, rel=1e-9)


def test_a_gabor_by_hand():
    made = gabor(5, 0.1, np.deg2rad(90), 0.4, 2.0, 3.0)  # modulated from left to right
    for row in range(-2, 3):
        for column in range(-2, 3):
            envelope = np.exp(-(column**2) / (2 * 2.0**2) - row**2 / (2 * 3.0**2))
            expected = envelope * np.cos(2 * np.pi * 0.1 * column + 0.4)
            assert made[row + 2, column + 2] == pytest.approx(expected)
    np.testing.assert_allclose(gabor(5, 0.1, 0.0, 0.4, 2.0, 3.0), made.T)  # from top to bottom
