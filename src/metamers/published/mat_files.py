"""The published .mat files: proportions correct of people and of the model. Nothing in a file is executed."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metamers.errors import MetamersError

NAME = re.compile(r"(Audio|Vision)Experiment(\d+)_network_vs_humans_datamatrix_(.+)_public\.mat")
COLUMNS = ("modality", "experiment", "model", "participant", "stage_index", "stage", "condition", "proportion")
CONDITIONS = ("human", "network")

_MATRIX, _STAGES, _CONDITIONS = "participant_data_matrix", "model_layers", "conditions"
_PLAIN = {"double", "single", "logical", "char", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64))}
_MOST_BYTES, _MOST_VALUES = 16 << 20, 1 << 20


@dataclass(frozen=True)
class MatFile:
    """A file by its name: `experiment` is as in the published tables, e.g. Vision_EXP1."""

    path: Path
    modality: str
    experiment: str
    model: str


def find_mat_files(folder: Path) -> list[MatFile]:
    """The published .mat files in `folder` and its subfolders, by their names, in the order of their names.

    Raises MetamersError when two different files are of the same experiment and model.
    """
    found: dict[tuple[str, str], MatFile] = {}
    for path in sorted(folder.rglob("*.mat"), key=lambda path: (path.name, str(path))):
        match = NAME.fullmatch(path.name)
        if not match or not path.is_file():
            continue
        file = MatFile(path, match[1].lower(), f"{match[1]}_EXP{match[2]}", match[3])
        first = found.setdefault((file.experiment, file.model), file)
        if first is not file and first.path.read_bytes() != path.read_bytes():
            raise MetamersError(f"{path}: differs from {first.path} but has its name; keep one of them in {folder}")
    return list(found.values())


def read_mat_file(file: MatFile) -> pd.DataFrame:
    """The file's proportions in [0, 1], one row per participant, stage and condition (human or network).

    Raises MetamersError for a file that is too large, unreadable, holds anything but plain arrays, or has not the
    published shape [participants, stages, (Human, Network)].
    """
    arrays = _read_plain(file.path)
    missing = [name for name in (_MATRIX, _STAGES, _CONDITIONS) if name not in arrays]
    if missing:
        raise MetamersError(f"{file.path}: has no {missing[0]!r}; is it a file of the published data?")
    values = np.asarray(arrays[_MATRIX])
    stages, conditions = _names(arrays[_STAGES]), _names(arrays[_CONDITIONS])
    expected = (len(values), len(stages), len(CONDITIONS))
    if values.dtype.kind not in "fiub" or values.shape != expected or len(values) == 0:
        raise MetamersError(f"{file.path}: {_MATRIX} has the shape {values.shape}, not participants x {expected[1:]}")
    if tuple(name.lower() for name in conditions) != CONDITIONS:
        raise MetamersError(f"{file.path}: conditions are {', '.join(conditions)}, not Human, Network")
    values = values.astype(np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise MetamersError(f"{file.path}: {_MATRIX} holds values that are no proportions in 0 to 1")
    return _tidy(file, values, stages)


def _read_plain(path: Path) -> dict[str, NDArray[Any]]:
    from scipy.io import loadmat, whosmat

    try:
        if path.stat().st_size > _MOST_BYTES:
            raise MetamersError(f"{path}: is larger than {_MOST_BYTES >> 20} MB, which no published file is; refused")
        listed = whosmat(str(path), appendmat=False)
        for name, shape, kind in listed:
            if kind not in _PLAIN:
                raise MetamersError(f"{path}: {name!r} is a {kind}, not a plain array; refused")
            if int(np.prod(shape, dtype=object)) > _MOST_VALUES:
                raise MetamersError(f"{path}: {name!r} has {shape} values, more than any published array; refused")
        wanted = [name for name, _, _ in listed if name in (_MATRIX, _STAGES, _CONDITIONS)]
        loaded = loadmat(str(path), appendmat=False, variable_names=wanted)
    except MetamersError:
        raise
    except Exception as error:  # scipy raises anything on a damaged file
        raise MetamersError(f"{path}: not a readable MATLAB 5 file ({type(error).__name__}); fetch it again") from error
    return {name: loaded[name] for name in wanted}


def _names(array: NDArray[Any]) -> list[str]:
    return [str(name).strip() for name in np.ravel(array)]


def _tidy(file: MatFile, values: NDArray[np.float64], stages: list[str]) -> pd.DataFrame:
    participant, stage, condition = (axis.ravel() for axis in np.indices(values.shape))
    return pd.DataFrame(
        {
            **{"modality": file.modality, "experiment": file.experiment, "model": file.model},
            "participant": participant,
            "stage_index": stage,
            "stage": np.asarray(stages, dtype=object)[stage],
            "condition": np.asarray(CONDITIONS, dtype=object)[condition],
            "proportion": values.ravel(),
        },
        columns=list(COLUMNS),
    )
