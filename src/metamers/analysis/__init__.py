"""What responses mean: functions on tidy tables. Imports no torch."""

from metamers.analysis.anova import anova, mixed_anova, repeated_measures_anova
from metamers.analysis.designs import Design, Factor, design_of
from metamers.analysis.permutation import PermutationTest, permutation_test, permute
from metamers.analysis.recognition import chance_level, recognition_by_stage, wilson_interval
from metamers.analysis.relation import (
    correlations,
    human_model_points,
    human_model_relation,
    mean_points,
    robustness_relation,
)
from metamers.analysis.scores import participant_scores

__all__ = [
    "Design",
    "Factor",
    "PermutationTest",
    "anova",
    "chance_level",
    "correlations",
    "design_of",
    "human_model_points",
    "human_model_relation",
    "mean_points",
    "mixed_anova",
    "participant_scores",
    "permutation_test",
    "permute",
    "recognition_by_stage",
    "repeated_measures_anova",
    "robustness_relation",
    "wilson_interval",
]
