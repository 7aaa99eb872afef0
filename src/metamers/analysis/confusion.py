"""What observers answer instead: confusions, and accuracy that weighs labels alike."""

import numpy as np
import pandas as pd

from metamers.analysis.designs import need_columns
from metamers.analysis.scores import tidy

GROUPS = ["model", "stage", "observer", "observer_kind"]


def confusion(responses: pd.DataFrame) -> pd.DataFrame:
    """How often each label got each response: `model, stage, observer, observer_kind, label, response, n, proportion`.

    `proportion` is over the responses to that label. Unscored responses count where they have a response: an answer
    outside the task's labels is a confusion too. Pairs that do not occur have no row; in each group the most frequent
    come first. Raises MetamersError as
    `participant_scores` does.
    """
    need_columns(responses, ["label", "response"], "the table of responses")
    table = tidy(responses)
    table = table[(table["label"] != "") & (table["response"] != "")]
    pairs = table.groupby([*GROUPS, "label", "response"], sort=False).size().rename("n").reset_index()
    pairs["proportion"] = pairs["n"] / pairs.groupby([*GROUPS, "label"], sort=False)["n"].transform("sum")
    places = pairs.groupby(GROUPS, sort=False).ngroup()
    return pairs.iloc[np.lexsort((-pairs["n"].to_numpy(), places))].reset_index(drop=True)


def balanced_accuracy(responses: pd.DataFrame) -> pd.DataFrame:
    """The mean over labels of the proportion correct: `model, stage, observer, observer_kind, n, n_labels, accuracy,
    balanced_accuracy`.

    Labels weigh alike, however often they were shown. Unscored responses do not count. Source: Brodersen and others,
    ICPR 2010, 3121-3124. Raises MetamersError as `participant_scores` does.
    """
    need_columns(responses, ["label"], "the table of responses")
    table = tidy(responses).dropna(subset=["correct"])
    table["correct"] = table["correct"].astype(float)
    by_label = table.groupby([*GROUPS, "label"], sort=False)["correct"].agg(["mean", "sum", "size"]).reset_index()
    by_group = by_label.groupby(GROUPS, sort=False)
    return pd.DataFrame(
        {
            "n": by_group["size"].sum(),
            "n_labels": by_group["size"].size(),
            "accuracy": by_group["sum"].sum() / by_group["size"].sum(),
            "balanced_accuracy": by_group["mean"].mean(),
        }
    ).reset_index()
