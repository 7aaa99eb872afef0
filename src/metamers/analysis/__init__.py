"""What responses mean: functions on tidy tables. Imports no torch."""

from metamers.analysis.anova import anova, mixed_anova, repeated_measures_anova
from metamers.analysis.bootstrap import bootstrap_recognition
from metamers.analysis.confusion import (
    balanced_accuracy,
    balanced_accuracy_of_counts,
    confusion,
    confusion_of_counts,
)
from metamers.analysis.consistency import (
    consistency_of_counts,
    count_shared,
    error_consistency,
    split_half_reliability,
)
from metamers.analysis.designs import Design, Factor, design_of, without_incomplete
from metamers.analysis.idiosyncrasy import idiosyncrasy
from metamers.analysis.merit import compare_runs, figure_of_merit
from metamers.analysis.observer_designs import kind_by_stage, stage_by_model
from metamers.analysis.permutation import PermutationTest, permutation_test, permute
from metamers.analysis.recognition import (
    chance_level,
    count_responses,
    recognition_by_stage,
    recognition_of_counts,
)
from metamers.analysis.relation import (
    correlations,
    human_model_points,
    human_model_relation,
    mean_points,
    robustness_relation,
    stages_in_order,
    with_depths,
)
from metamers.analysis.robustness import robustness_table
from metamers.analysis.scores import participant_scores
from metamers.analysis.seeds import (
    agreement_of_counts,
    pooled_distances,
    seed_agreement,
    seed_distances,
)
from metamers.intervals import wilson_interval

__all__ = [
    "Design",
    "Factor",
    "PermutationTest",
    "agreement_of_counts",
    "anova",
    "balanced_accuracy",
    "balanced_accuracy_of_counts",
    "bootstrap_recognition",
    "chance_level",
    "compare_runs",
    "confusion",
    "confusion_of_counts",
    "consistency_of_counts",
    "correlations",
    "count_responses",
    "count_shared",
    "design_of",
    "error_consistency",
    "figure_of_merit",
    "human_model_points",
    "human_model_relation",
    "idiosyncrasy",
    "kind_by_stage",
    "mean_points",
    "mixed_anova",
    "participant_scores",
    "permutation_test",
    "permute",
    "pooled_distances",
    "recognition_by_stage",
    "recognition_of_counts",
    "repeated_measures_anova",
    "robustness_relation",
    "robustness_table",
    "seed_agreement",
    "seed_distances",
    "split_half_reliability",
    "stage_by_model",
    "stages_in_order",
    "wilson_interval",
    "with_depths",
    "without_incomplete",
]
