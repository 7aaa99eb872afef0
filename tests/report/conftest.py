"""Made-up runs in the store's layout, written without the store's own code."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from metamers.report import write_report
from metamers.store import slug
from metamers.store.store import FORMAT

MEASURES = ("pearson_r", "spearman_rho", "snr_db")
WEIGHTS = "3fa9" * 16
RECIPE = {"name": "fast", "optimizer": "adam", "learning_rate": 0.02, "steps": 1600, "start": {"kind": "noise"}}
LABELS = ("anchor", "cat", "cup", "star")
KEYS = ("cell", "model", "stage", "recipe", "reference", "seed")
MATCHES = (
    *(*KEYS, "label", *MEASURES, *(f"null_{name}" for name in MEASURES), "null_n_images", "null_n_pairs", "same_class"),
    *("verdict", "reason", "n_steps", "seconds", "file", "reference_file"),
)
RESPONSES = (*KEYS, "observer", "observer_kind", "participant", "label", "response", "correct", "rt_ms")
NULL = ("model", "stage", "set", "measure", "n_images", "n_pairs", "n_zero", "max", "q999", "q99", "q50")

Verdict = Callable[[int, int, int], str]
MakeRun = Callable[..., Path]


def mixed(model: int, stage: int, reference: int) -> str:
    """Mostly passed, with each other verdict somewhere."""
    if model == 2 and stage == 1:
        return "no null"
    if model == 0 and reference == 3 and stage >= 3:
        return "failed"
    return "error" if (model, reference) == (1, 5) and stage == 4 else "passed"


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """Writes a made-up run and gives its folder."""

    def make(name: str = "demo", **options: Any) -> Path:
        return _write_run(tmp_path_factory.mktemp("runs") / name, **options)

    return make


@pytest.fixture(scope="session")
def run(make_run: MakeRun) -> Path:
    """Three models, five stages, sixteen references, every verdict, three observers. Not to be written to by a test."""
    return make_run()


@pytest.fixture(scope="session")
def report(run: Path) -> Path:
    """The page of that run."""
    return write_report(run)


def _write_run(
    folder: Path,
    *,
    models: Sequence[str] = ("picto-resnet", "picto-resnet-b", "picto-alexnet"),
    stages: Sequence[str] = ("conv1", "layer1", "layer2", "layer3", "output"),
    references: int | Sequence[str] = 16,
    verdict: Verdict = mixed,
    size: int = 32,
    null: bool = True,
    responses: bool = True,
    people: int = 0,
    gaps: bool = False,
    controls: bool = False,
    labels: Sequence[str] = LABELS,
    reason: str = "snr_db 3.10 is not above the null's maximum 3.42",
) -> Path:
    names = [f"test-0-{i:05d}" for i in range(references)] if isinstance(references, int) else list(references)
    pictures = _Pictures(folder, size, len(names) > 100)
    cells = []
    for m, model in enumerate(models):
        for s, stage in enumerate(stages):
            group = [
                _cell(pictures, (model, stage, name), (m, s, r), len(stages), verdict(m, s, r), null, reason)
                | {"label": labels[r % len(labels)]}
                for r, name in enumerate(names)
            ]
            _dump(folder / "batches" / slug(model) / slug(stage) / "first.json", _batch(model, stage, group, null))
            cells += group
    nulls = [_null(model, stage, s) for model in models for s, stage in enumerate(stages)] if null else []
    for record in nulls:
        _dump(folder / "null" / slug(record["model"]) / slug(record["stage"]) / "set.json", record)
    observers = [*models, *(f"p{i}" for i in range(people))]
    answers = _answers(cells, observers, stages, names, labels, controls) if responses else []
    if gaps:  # a participant who saw nothing of the last stage
        answers = [row for row in answers if (row["participant"], row["stage"]) != ("p0", stages[-1])]
    _table(folder / "tables" / "matches.csv", MATCHES, cells)
    _table(folder / "tables" / "responses.csv", RESPONSES, [row for row in answers if not row.get("control")])
    _table(folder / "tables" / "controls.csv", ("control", *RESPONSES), [row for row in answers if row.get("control")])
    _table(folder / "tables" / "null.csv", NULL, [])
    (folder / "study.yaml").write_text(yaml.safe_dump(_study(models, stages, names), sort_keys=False), encoding="utf-8")
    return folder


class _Pictures:
    """A disc on a plain ground, drowned in noise by degrees."""

    def __init__(self, folder: Path, size: int, cheap: bool) -> None:
        self.folder, self.size, self.cheap = folder, size, cheap
        self.made: dict[tuple[int, float], bytes] = {}

    def write(self, relative: str, reference: int, noise: float) -> str:
        key = (reference % 4 if self.cheap else reference, noise)
        if key not in self.made:
            self.made[key] = self._png(*key)
        path = self.folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.made[key])
        return hashlib.sha256(self.made[key]).hexdigest()

    def _png(self, reference: int, noise: float) -> bytes:
        rng = np.random.default_rng([reference, int(100 * noise)])
        colors = np.random.default_rng(reference).uniform(0.1, 0.9, (2, 3))
        y, x = np.mgrid[: self.size, : self.size] / self.size - 0.5
        inside = np.abs(x) ** (1 + reference % 3) + np.abs(y) ** (1 + reference % 3) < 0.3 ** (1 + reference % 3)
        image = np.where(inside[..., None], colors[0], colors[1])
        image = (1 - noise) * image + noise * rng.uniform(0, 1, image.shape)
        content = io.BytesIO()
        Image.fromarray((image * 255).round().astype(np.uint8)).save(content, "PNG")
        return content.getvalue()


def _cell(
    pictures: _Pictures,
    names: tuple[str, str, str],
    place: tuple[int, int, int],
    n_stages: int,
    verdict: str,
    null: bool,
    reason: str,
) -> dict[str, Any]:
    (model, stage, reference), (_, s, r) = names, place
    rng = np.random.default_rng(place)
    depth = s / max(1, n_stages - 1)
    made = verdict != "error"
    base = f"{slug(model)}/{slug(stage)}/fast/{slug(reference)}"
    file, reference_file = f"metamers/{base}.s0.png", f"references/{slug(reference)}.png"
    failed = verdict == "failed"
    snr = 3.1 if failed else 28 - 14 * depth + rng.normal(0, 1.5)
    values = {
        "pearson_r": 0.71 if failed else 1 - 10 ** -(snr / 10) * 0.5,
        "spearman_rho": None if failed else 1 - 10 ** -(snr / 10),
        "snr_db": snr,
    }
    judged = null and verdict != "no null"
    steps = list(range(0, 50 * int(8 + 8 * depth + rng.integers(0, 6)), 50))
    return {
        "cell": f"{base}/s0",
        **{"model": model, "stage": stage, "recipe": "fast", "reference": reference, "seed": 0},
        "label": LABELS[r % len(LABELS)],
        "file": file if made else None,
        "sha256": pictures.write(file, r, round(0.9 * depth, 2)) if made else None,
        "reference_file": reference_file,
        "reference_sha256": pictures.write(reference_file, r, 0.0),
        **{name: values[name] if made else None for name in MEASURES},
        "null_pearson_r": 0.86 if judged else None,
        "null_spearman_rho": 0.84 if judged else None,
        "null_snr_db": 3.42 if judged else None,
        "null_n_images": 800 if judged else None,
        "null_n_pairs": 319600 if judged else None,
        "same_class": made and not failed if made else None,
        "verdict": verdict,
        "reason": {"failed": reason, "error": "activations are not finite (NaN)", "no null": "no null set"}.get(
            verdict
        ),
        "n_steps": steps[-1] if made else 0,
        "seconds": 1.25,
        "trace": {
            "step": steps if made else [],
            "loss": [10 ** (-v / 10) for v in _rise(steps, snr)] if made else [],
            "snr_db": _rise(steps, snr) if made else [],
        },
    }


def _rise(steps: list[int], end: float) -> list[float]:
    return [float(end * (1 - np.exp(-step / 150))) for step in steps]


def _batch(model: str, stage: str, cells: list[dict[str, Any]], null: bool) -> dict[str, Any]:
    versions = {
        "python": "3.11.7",
        "torch": "2.13.0",
        "numpy": "2.4.6",
        "metamers": "0.1.0",
        "platform": "Linux-x86_64",
    }
    identity = {"id": "first", "model": model, "stage": stage, "recipe": "fast", "seed": 0}
    identity |= {"weights_hash": WEIGHTS, "settings": RECIPE}
    identity["null_file"] = f"null/{slug(model)}/{slug(stage)}/set.json" if null else None
    return identity | {"versions": versions, "device": "cpu", "seconds": 12.5, "cells": cells}


def _null(model: str, stage: str, place: int) -> dict[str, Any]:
    rng = np.random.default_rng(place)
    measures = {}
    for name, maximum in zip(MEASURES, (0.86, 0.84, 3.42), strict=True):
        values = rng.beta(2, 6 - place % 4, 20000)
        values = values / values.max() * maximum * 1.4 - 0.4 * maximum
        counts, edges = np.histogram(values, bins=60)
        measures[name] = {
            "max": maximum,
            "quantiles": {q: float(np.quantile(values, float(q))) for q in ("0.5", "0.99", "0.999")},
            "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
        }
    sizes = {"n_images": 800, "n_pairs": 319600, "n_zero": 0, "seed": 0}
    return {"model": model, "stage": stage, "set": "bundled:pictograms"} | sizes | {"measures": measures}


def _answers(
    cells: list[dict[str, Any]],
    observers: Sequence[str],
    stages: Sequence[str],
    names: list[str],
    labels: Sequence[str],
    controls: bool,
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    rows = []
    for observer in observers:
        for r, reference in enumerate(names):
            for stage, known in (("natural", 0.98), ("start", 1 / len(labels)))[: 1 + controls]:
                keys = {"cell": f"{stage}/{slug(reference)}", "stage": stage, "reference": reference}
                keys |= {"control": stage} if stage == "start" else {}
                rows.append(keys | _answer(observer, labels[r % len(labels)], bool(rng.random() < known), labels))
        for cell in cells:
            if cell["file"] is None:
                continue
            depth = stages.index(cell["stage"]) / max(1, len(stages) - 1)
            known = 0.98 if observer == cell["model"] else 0.98 - 0.75 * depth
            keys = {key: cell[key] for key in ("cell", "model", "stage", "recipe", "reference", "seed")}
            rows.append(keys | _answer(observer, cell["label"], bool(rng.random() < known), labels))
            if controls:
                keys |= {
                    "model": f"untrained-{cell['model']}",
                    "cell": f"untrained-{cell['cell']}",
                    "control": "untrained",
                }
                rows.append(keys | _answer(observer, cell["label"], bool(rng.random() < 0.4), labels))
    return rows


def _answer(observer: str, label: str, correct: bool, labels: Sequence[str]) -> dict[str, Any]:
    response = label if correct else labels[(labels.index(label) + 1) % len(labels)]
    person = observer.startswith("p") and observer[1:].isdecimal()
    return {
        "observer": "human" if person else observer,
        "observer_kind": "human" if person else "model",
        "participant": observer if person else None,
        "label": label,
        "response": response,
        "correct": correct,
    }


def _study(models: Sequence[str], stages: Sequence[str], names: list[str]) -> dict[str, Any]:
    return {
        **{"format": FORMAT, "metamers": "0.1.0"},
        "command": "metamers demo --out runs/demo",
        "models": [
            {
                **{"name": name, "spec": f"bundled:{name}", "weights": None, "weights_hash": WEIGHTS},
                **{"stages": list(stages), "input_size": [32, 32], "classes": list(LABELS)},
            }
            for name in models
        ],
        "stimuli": {"spec": "bundled:pictograms?split=test", "n": len(names), "hash": "a1b2" * 16},
        "null_stimuli": {"spec": "bundled:pictograms?split=test&n=800&seed=1", "n": 800, "hash": "c3d4" * 16},
        "recipes": [RECIPE],
        "seeds": [0],
        "criterion": "pearson_r > null max & snr_db > null max & spearman_rho > null max & same decision",
        "batch_size": 16,
        "device": "cpu",
        "created": "2026-11-23T22:41:00+00:00",
    }


def _dump(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, allow_nan=False), encoding="utf-8")


def _table(path: Path, columns: Sequence[str], rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
