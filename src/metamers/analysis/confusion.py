"""What observers answer instead: confusions, and accuracy that weighs labels alike."""

import numpy as np
import pandas as pd

from metamers.analysis.designs import need_columns
from metamers.analysis.recognition import GROUPS, count_responses
from metamers.analysis.scores import tidy


def confusion(responses: pd.DataFrame) -> pd.DataFrame:
    """How often each label got each response: `model, stage, observer, observer_kind, label, response, n, proportion`.

    `proportion` is over the responses to that label. Unscored responses count where they have a response: an answer
    outside the task's labels is a confusion too. Pairs that do not occur have no row; in each group the most frequent
    come first. Raises MetamersError as `participant_scores` does.
    """
    need_columns(responses, ["label", "response"], "the table of responses")
    return confusion_of_counts(tidy(responses).assign(n=1))


def confusion_of_counts(responses: pd.DataFrame) -> pd.DataFrame:
    """What `confusion` gives, from rows of `n` responses each."""
    table = responses[(responses["label"] != "") & (responses["response"] != "")]
    pairs = table.groupby([*GROUPS, "label", "response"], sort=False, as_index=False)[["n"]].sum()
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
    return balanced_accuracy_of_counts(count_responses([tidy(responses)]))


def balanced_accuracy_of_counts(counts: pd.DataFrame) -> pd.DataFrame:
    """What `balanced_accuracy` gives, from `count_responses`."""
    by_label = counts[counts["n"] > 0].assign(share=lambda rows: rows["n_correct"] / rows["n"])
    by_group = by_label.groupby(GROUPS, sort=False)
    return pd.DataFrame(
        {
            "n": by_group["n"].sum(),
            "n_labels": by_group["label"].size(),
            "accuracy": by_group["n_correct"].sum() / by_group["n"].sum(),
            "balanced_accuracy": by_group["share"].mean(),
        }
    ).reset_index()
