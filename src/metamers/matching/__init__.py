"""How a metamer is proved: measures, null distributions, criteria, and verification from the written file."""

from metamers.matching.criterion import PUBLISHED, AboveNull, Criterion, SameDecision
from metamers.matching.match import Judgement, Match, decide, judge, match
from metamers.matching.measures import MEASURES, pearson_r, snr_db, spearman_rho
from metamers.matching.null import NullDistribution, null_distribution
from metamers.matching.representation import SUMMARIES, Representation, is_out_of_memory, represent
from metamers.matching.verify import Verification, verify

__all__ = [
    "MEASURES",
    "PUBLISHED",
    "SUMMARIES",
    "AboveNull",
    "Criterion",
    "Judgement",
    "Match",
    "NullDistribution",
    "Representation",
    "SameDecision",
    "Verification",
    "decide",
    "is_out_of_memory",
    "judge",
    "match",
    "null_distribution",
    "pearson_r",
    "represent",
    "snr_db",
    "spearman_rho",
    "verify",
]
