"""What Feather, Leclerc, Mądry and McDermott (Nature Neuroscience 26, 2017-2034, 2023) did with their data: settings.

Everything that is left out or exempt is here, with its reason; the code that uses these settings knows no exceptions.
"""

from dataclasses import dataclass

CITATION = "Feather, Leclerc, Mądry & McDermott, Nature Neuroscience 26, 2017-2034 (2023)"
DOI = "10.1038/s41593-023-01442-0"

PEOPLE, NETWORK = "human", "network"
PUBLISHED_PERMUTATIONS = 10_000


@dataclass(frozen=True)
class Experiment:
    """An experiment's name in the article, and how many people took part."""

    paper_name: str
    participants: int


EXPERIMENTS = {
    "Vision_EXP1": Experiment("Visual 1", 22),
    "Vision_EXP12": Experiment("Visual 2", 21),
    "Vision_EXP5": Experiment("Visual 3", 21),
    "Vision_EXP16": Experiment("Visual 4", 23),
    "Vision_EXP10": Experiment("Visual 5", 21),
    "Vision_EXP6": Experiment("Visual 6", 20),
    "Vision_EXP3": Experiment("Visual 7", 20),
    "Vision_EXP4": Experiment("Visual 8", 20),
    "Vision_EXP9": Experiment("Visual 12", 20),
    "Audio_EXP1": Experiment("Auditory 1", 20),
    "Audio_EXP6": Experiment("Auditory 2", 20),
    "Audio_EXP3": Experiment("Auditory 3", 20),
    "Audio_EXP4": Experiment("Auditory 4", 20),
    "Audio_EXP7": Experiment("Auditory 5", 20),
    "Audio_EXP8": Experiment("Auditory 6", 20),
}
"""By the names of the published files, in the order of the article."""


@dataclass(frozen=True)
class Analysis:
    """One kind of the published analyses of variance.

    `within` and `between` are its factors as the published tables name them; `convention` is how its permutations are
    counted. `stages_left_out` and `permutation_exempt` (effects) go with their reasons.
    """

    what: str
    within: tuple[str, ...]
    between: str | None
    convention: str
    stages_left_out: dict[str, str]
    permutation_exempt: dict[str, str]


ANALYSES = {
    "human_vs_network_mixed": Analysis(
        "people and the generating model (as if independent) x stage",
        ("layer",),
        "network_or_human",
        "at least",
        {},
        {},
    ),
    "human_models_rm": Analysis("people: stage x model", ("layer", "model_type"), None, "more", {}, {}),
    "human_stage_rm": Analysis(
        *("people: stage", ("stage",), None, "at least"),
        {"final": "the classifier on top of a model without learned features; not part of the published test"},
        {},
    ),
    "adv_eval_mixed": Analysis(
        *("adversarial accuracy of two models x perturbation size", ("eps",), "network", "more", {}),
        {
            "network": "5 + 5 seeds have 252 splits, 2 of them as extreme as the observed one: the published p flips "
            "between .0001 and .009 by the rounding of ties; ours enumerates the splits"
        },
    ),
}

NATURAL = {"vision": "natural_image", "audio": "natural_audio"}
CHANCE = {"vision": 1 / 16, "audio": 1 / 793}
"""What guessing gives people."""


@dataclass(frozen=True)
class PublishedRelation:
    """A correlation as published: what it is over and its figures."""

    n_models: int
    n_points: int
    figures: dict[str, float]


RELATIONS = {
    "audio": PublishedRelation(17, 144, {"r_squared": 0.949, "spearman_rho": 0.863, "kendall_tau": 0.713}),
    "vision": PublishedRelation(29, 219, {"r_squared": 0.897, "spearman_rho": 0.938, "kendall_tau": 0.783}),
}
"""Human recognition against that by other models, over model-stages (Fig. 8e, f)."""

RELATION_EXPERIMENTS_LEFT_OUT = {
    "Vision_EXP6": "HMAX is not among the models that recognized each other's metamers",
    "Audio_EXP6": "SpecTemp is not among the models that recognized each other's metamers",
}
RELATION_STAGES_LEFT_OUT = {
    ("vision", "natural_image"): "no metamers",
    ("audio", "natural_audio"): "no metamers",
    ("vision", "input_after_preproc"): "not shown to people",
}

BRAIN_REGIONS = ("V1", "V2", "V4", "IT")
BRAIN_SCORE = PublishedRelation(26, 26, {"V1": 0.1030, "V2": 0.1337, "V4": 0.4018, "IT": 0.4519})
"""Spearman correlations of Brain-Score with human recognition at each model's best stage (Fig. 7b)."""

BRAIN_SCORE_MODELS_LEFT_OUT = dict.fromkeys(
    (
        *("alexnet_early_checkpoint", "alexnet_reduced_aliasing_early_checkpoint"),
        "vonealexnet_gaussian_noise_std4_fixed",
    ),
    "models of Visual 12 are not in the published figure",
)
