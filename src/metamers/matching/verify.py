"""Proof from the written files alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamers.errors import MetamersError
from metamers.matching.criterion import Criterion
from metamers.matching.match import judge, match
from metamers.matching.measures import MEASURES
from metamers.matching.null import NullDistribution
from metamers.matching.representation import Representation
from metamers.models import StagedModel, load_model, own_kind
from metamers.stimuli.written import read_signals
from metamers.store import Record, Store, matches, read_json, sha256

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Verification:
    """What became of the cells of a run when their files were read and judged again.

    altered: files that are missing or whose bytes differ from the record. changed: cells whose verdict is not the
    recorded one. matches: the table as measured now, with the column `recorded_verdict`. Cells without a file (verdict
    `error`) are not measured; those with an altered file (its own, its reference's or its null distribution's) are not
    either, their verdict is `altered`.
    """

    n_cells: int
    n_passed: int
    altered: tuple[str, ...]
    changed: tuple[str, ...]
    matches: "pd.DataFrame"

    @property
    def ok(self) -> bool:
        """Whether every file is as recorded and every verdict holds."""
        return not self.altered and not self.changed


def verify(
    run: Path | str,
    *,
    models: Sequence[StagedModel] = (),
    device: str = "cpu",
    progress: Progress = lambda done, total: None,
) -> Verification:
    """Read every written file of a run again, run the models on them, and recompute measures and verdicts.

    models: those of the run that were given as Python objects and have no name to be loaded by.

    Raises MetamersError where there is no run, a record is damaged, or a model's weights are no longer the same.
    """
    store = Store.open(run)
    batches = list(store.batches())
    if not batches:
        raise MetamersError(f"{run}: no finished batch to verify; run the command that makes it again, it resumes")
    by_name = _models(store.study(), {model.name: model for model in models}, device)
    total = sum(len(batch["cells"]) for batch in batches)
    rows: list[dict[str, Any]] = []
    altered: list[str] = []
    for batch in batches:
        new_rows, new_altered = _verify_batch(store, batch, by_name)
        rows += new_rows
        altered += new_altered
        progress(len(rows), total)
    changed = [row["cell"] for row in rows if row["verdict"] not in (row["recorded_verdict"], "altered")]
    table = matches(rows).assign(recorded_verdict=[row["recorded_verdict"] for row in rows])
    passed = sum(row["verdict"] == "passed" for row in rows)
    return Verification(total, passed, tuple(dict.fromkeys(altered)), tuple(changed), table)


def _verify_batch(
    store: Store, batch: Record, models: Callable[[str], StagedModel]
) -> tuple[list[dict[str, Any]], list[str]]:
    null_file, null_sha256 = batch["null_file"], batch["null_sha256"]
    shared = [null_file] if null_file is not None and not _is_intact(store.path(null_file), null_sha256) else []
    rows, intact, altered = [], [], list(shared)
    for cell in batch["cells"]:
        row = {**cell, "recorded_verdict": cell["verdict"]}
        bad = [
            file
            for file, digest in ((cell["file"], cell["sha256"]), (cell["reference_file"], cell["reference_sha256"]))
            if file is not None and not _is_intact(store.path(file), digest)
        ]
        altered += bad
        bad += shared
        if bad:
            row |= {"verdict": "altered", "reason": f"{bad[0]} is not the file that was recorded"}
        elif cell["file"] is not None and cell["verdict"] != "error":
            intact.append(row)
        rows.append(row)
    if intact:
        model = models(batch["model"])
        null = None if null_file is None else NullDistribution.from_json(read_json(store.path(null_file)))
        representation = Representation.from_json(batch["representation"])
        signals, references = (read_signals([store.path(row[k]) for row in intact]) for k in ("file", "reference_file"))
        criterion = Criterion.from_json(batch["criterion"])
        judged = judge(match(model, representation, references, signals), criterion, null)
        for row, judgement in zip(intact, judged, strict=True):
            row |= {**judgement.measures, "same_class": judgement.same_class}
            row |= {"verdict": judgement.verdict, "reason": judgement.reason}
            if null is not None:
                row |= {f"null_{m}": null.quantile(m) for m in MEASURES}
    return rows, altered


def _models(study: Record, given: Mapping[str, StagedModel], device: str) -> Callable[[str], StagedModel]:
    entries = {entry["name"]: entry for entry in study["models"]}

    @cache
    def load(name: str) -> StagedModel:
        entry = entries[name]
        size = tuple(entry["input_size"])
        if name in given:
            model = given[name].with_input_size(size).to(device)
        elif entry["spec"] is None:
            raise MetamersError(
                f"model {name!r} was given as a Python object; verify in Python: metamers.verify(run, models=[model])"
            )
        else:
            kind = own_kind(entry["spec"], entry.get("kind", "image"), entry.get("sample_rate"))
            model = load_model(entry["spec"], weights=entry["weights"], input_size=size, device=device, **kind)
        if model.weights_hash() != entry["weights_hash"]:
            raise MetamersError(f"model {name!r}: its weights have changed since the run was made; restore them")
        return model

    return load


def _is_intact(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path.read_bytes()) == digest
