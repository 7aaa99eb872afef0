"""The cells of a run in the order of the page."""

from dataclasses import astuple

from hypothesis import given
from hypothesis import strategies as st

from metamers.report.cells import collect, natural_key

KEYS = ("model", "stage", "recipe", "reference", "seed")
names = st.sampled_from(["a", "b", "a2", "a10", "01", "1", "\u00e9"])
keys = st.tuples(names, names, names, names, st.integers(-(2**63), 2**63 - 1))


def record(key: tuple[object, ...], **more: object) -> dict[str, object]:
    return {"cell": repr(key), **dict(zip(KEYS, key, strict=True)), "verdict": "passed", **more}


@given(st.lists(keys, unique=True), st.dictionaries(names, st.lists(names, unique=True)))
def test_cells_come_in_the_order_of_the_page(found, studied):
    cells, stages = collect(map(record, found), studied)
    assert sorted((model, stage) for model, of in stages.items() for stage in of) == sorted({key[:2] for key in found})
    assert list(stages) == [*(m for m in studied if m in stages), *(m for m in stages if m not in studied)]
    models = list(stages)

    def place(key):
        model, stage, recipe, reference, seed = key
        return models.index(model), natural_key(reference), reference, recipe, seed, stages[model].index(stage)

    assert [tuple(getattr(cell, key) for key in KEYS) for cell in cells] == sorted(found, key=place)
    assert len(cells) == len(found)
    for model, of in stages.items():
        known = [stage for stage in studied.get(model, ()) if stage in of]
        assert [*of[: len(known)]] == known
        chosen = cells.of(model=model).of(stage=of[0])
        assert [*chosen] == [cell for cell in cells if (cell.model, cell.stage) == (model, of[0])]
        assert sum(chosen.count("recipe", "seed").values()) == len(chosen)


def test_values_are_those_of_the_record_and_the_later_record_counts():
    old, key = {"verdict": "error", "reason": "none"}, ("m", "s", "r", "a", 0)
    new = {"verdict": "failed", "same_class": False, "snr_db": 2.5, "n_steps": 3, "label": "007", "seconds": None}
    trace = {"trace": {"snr_db": [1.0, 2.0, None]}}
    cells, _ = collect([record(key, **old), record(key, **new, **trace)], {})
    (cell,) = cells
    measures = (None, None, 2.5, None, None, None)
    assert astuple(cell) == (repr(key), *key, "007", None, None, *measures, False, "failed", None, 3, None, 2.0)
    assert cells.verdict(repr(key)) == "failed" and cells.verdict("other") is None
