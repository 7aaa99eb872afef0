"""`metamers analyze`: the statistics of runs, as tables."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from metamers.cli.options import Count, Json
from metamers.cli.output import give_json, plain_rows, say, say_note
from metamers.errors import MetamersError

if TYPE_CHECKING:
    import pandas as pd

    from metamers.report.results import Results
    from metamers.study.analyses import Responses

Observers = Literal["human", "model"]
Resamples = Annotated[Count, Parameter(name="--resamples", help="Bootstrap resamples.")]
Tests = Annotated[int, Parameter(validator=Number(gte=0), help="Permutations of each test; 0 for none.")]

analyze = App(
    name="analyze",
    help="Analyze the responses of runs: metamers analyze WHAT RUN... Cells that failed are left out.",
    help_format="plaintext",
)


@analyze.command
def recognition(
    run: Path,
    /,
    *runs: Path,
    over: Literal["stimuli", "participants", "both"] = "both",
    resamples: Resamples = 1000,
    json: Json = False,
) -> int:
    """Recognition by stage, with standard errors and 95 % bootstrap intervals, and chance."""
    from metamers.study import analyses

    return _each((run, *runs), json, lambda r: analyses.recognition(_of(r), over=over, n_resamples=resamples))


@analyze.command
def anova(
    run: Path,
    /,
    *runs: Path,
    design: Literal["mixed", "repeated"] = "mixed",
    observers: Observers = "human",
    permutations: Tests = 10_000,
    leave_out_incomplete: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Analysis of variance with corrected and permutation p-values.

    Parameters
    ----------
    design
        mixed: people against other models x stage, for each generating model; repeated: stage x generating model.
    observers
        Whose responses a repeated design takes.
    leave_out_incomplete
        Analyze without the subjects (people and, in a mixed design, models) who lack a stage, and say who they are.
    """

    def tables(results: "Results") -> "pd.DataFrame":
        import pandas as pd

        from metamers.analysis import kind_by_stage, participant_scores, stage_by_model

        scores = participant_scores(_of(results).table())
        if design == "repeated":
            made = scores[scores["model"].isin(["", *results.stages])]  # without controls
            return _anova(stage_by_model(made, observers, results.stages), None, permutations, leave_out_incomplete)
        others = scores[scores["observer"] != scores["model"]].groupby("model")["observer_kind"].nunique()
        models = [model for model in results.stages if others.get(model) == 2]
        for model in results.stages if models else ():
            if model not in models:
                say_note(f"the metamers of {model} were not shown to both people and other models")
        of_model = [
            _anova(
                kind_by_stage(scores, model), "observer_kind", permutations, leave_out_incomplete, f"of {model} "
            ).assign(model=model)
            for model in models or results.stages  # of which the first says what is missing
        ]
        table = pd.concat(of_model)
        return table[["model", *table.columns.drop("model")]]

    return _each((run, *runs), json, tables)


@analyze.command
def relation(run: Path, /, *runs: Path, figure: Path | None = None, json: Json = False) -> int:
    """Human recognition against that by other models, over the model-stages of all runs; recipes are pooled.

    Parameters
    ----------
    figure
        Draw the scatter plot into this file (.svg, .pdf or .png).
    """
    import pandas as pd

    from metamers.analysis import human_model_points, human_model_relation, stages_in_order, with_depths

    if figure is not None and figure.suffix not in (".svg", ".pdf", ".png"):
        raise MetamersError(f"--figure {figure}: choose a name that ends in .svg, .pdf or .png")
    parts, lists = [], dict[str, list[Sequence[str]]]()
    read = _read((run, *runs))
    _say_pooled(read)
    for results in read:
        table = _of(results).table()
        if runs:  # p1 of one run is not p1 of another, nor is a cell
            table = table.assign(**{key: f"{results.store.folder} " + table[key] for key in ("participant", "cell")})
        parts.append(table)
        for model, names in results.stages.items():
            lists.setdefault(model, []).append(names)
    points = human_model_points(pd.concat(parts, ignore_index=True))
    points = with_depths(points, {m: stages_in_order(m, lists[m]) for m in lists if m in set(points["model"])})
    table = human_model_relation(points)
    if figure is not None:
        _draw(points, figure)
    return _give(table, json, {"points": points, **({"figure": str(figure)} if figure else {})})


@analyze.command
def consistency(run: Path, /, *runs: Path, json: Json = False) -> int:
    """Error consistency (kappa, with its ceiling) of every two observers on the stimuli that both saw."""
    return _made("consistency", (run, *runs), json)


@analyze.command
def reliability(
    run: Path, /, *runs: Path, observers: Observers = "human", splits: Count = 1000, json: Json = False
) -> int:
    """Split-half reliability of recognition over model-stages, corrected by Spearman and Brown's formula."""
    from metamers.analysis import split_half_reliability

    return _each(
        (run, *runs),
        json,
        lambda r: split_half_reliability(_of(r).table(), observer_kind=observers, n_splits=splits),
    )


@analyze.command
def idiosyncrasy(
    run: Path, /, *runs: Path, models: Path | None = None, resamples: Resamples = 1000, json: Json = False
) -> int:
    """What a model recognizes of its own metamers beyond what other models do.

    Parameters
    ----------
    models
        A CSV file with the columns model, architecture, training: the other models are then split by these.
    """
    from metamers.study import analyses

    known = {"models": None if models is None else _csv(models), "n_resamples": resamples}
    return _each((run, *runs), json, lambda r: analyses.idiosyncrasy(_of(r), **known))


@analyze.command
def seeds(run: Path, /, *runs: Path, json: Json = False) -> int:
    """How different the metamers of one reference from several seeds are, in pixels and to the observers."""
    return _made("seeds", (run, *runs), json)


@analyze.command
def confusion(run: Path, /, *runs: Path, json: Json = False) -> int:
    """How often each label got each response, the most frequent pairs of each observer and stage first."""
    return _made("confusion", (run, *runs), json)


@analyze.command
def accuracy(run: Path, /, *runs: Path, json: Json = False) -> int:
    """Accuracy, and balanced accuracy, which weighs labels alike."""
    return _made("accuracy", (run, *runs), json)


@analyze.command
def merit(
    run: Path,
    /,
    *runs: Path,
    observers: Observers = "model",
    resamples: Resamples = 1000,
    json: Json = False,
) -> int:
    """One figure for each model and run: the area under the other observers' recognition over stage depth.

    0 is chance, 1 is as for natural stimuli; with 95 % intervals, and each model's difference from the first. Of
    several recipes, each has its own rows.

    Parameters
    ----------
    observers
        Who recognizes: other models, or people.
    """
    from metamers.study.analyses import by_recipe, joined, merits

    parts = [by_recipe(results) for results in _distinct((run, *runs))]
    if all(len(of_run) == 1 for of_run in parts):
        return _give(merits([_of(part) for ((_, part),) in parts], observers, resamples), json)
    recipes = dict.fromkeys(recipe for of_run in parts for recipe, _ in of_run)
    tables = []
    for name in recipes:
        made = [_of(part) for of_run in parts for recipe, part in of_run if recipe == name]
        tables.append((name, merits(made, observers, resamples)))
    return _give(joined(tables), json)


@analyze.command
def robustness(
    run: Path,
    /,
    *runs: Path,
    robustness: Annotated[Path, Parameter(name="--robustness")],
    observers: Observers = "model",
    resamples: Resamples = 1000,
    json: Json = False,
) -> int:
    """The figure of merit of metamers against adversarial robustness, over models; recipes are pooled.

    Parameters
    ----------
    robustness
        A CSV file with the columns model, robustness (accuracy under attack) and, for several attacks, attack.
    observers
        Whose recognition counts: that of other models, or of people.
    """
    from metamers.analysis import robustness_relation
    from metamers.study.analyses import merits

    results = _distinct((run, *runs))
    _say_pooled(results)
    found = merits(list(map(_of, results)), observers, resamples).rename(columns={"merit": "recognizability"})
    points, table = robustness_relation(found[found["note"] == ""], _csv(robustness))
    return _give(table, json, {"points": points})


def _read(runs: tuple[Path, ...]) -> "list[Results]":
    from metamers.report.results import read_results

    return [read_results(run) for run in runs]


def _of(results: "Results") -> "Responses":
    from metamers.study.analyses import Responses

    return Responses(results, say_note)


def _made(name: str, runs: tuple[Path, ...], json: bool) -> int:
    """An analysis that a study can name, too."""
    from metamers.study.analyses import ANALYSES

    return _each(runs, json, lambda results: ANALYSES[name](_of(results)))


def _each(runs: tuple[Path, ...], json: bool, table_of: Callable[["Results"], "pd.DataFrame"]) -> int:
    """Analyze each run by itself, and each of its recipes; several have their tables joined, with a column of names."""
    import pandas as pd

    from metamers.study.analyses import by_recipe, joined

    tables = []
    for results in _read(runs):
        try:
            table = joined([(recipe, table_of(part)) for recipe, part in by_recipe(results)])
        except MetamersError as error:
            raise error if len(runs) == 1 else MetamersError(f"{results.store.folder}: {error}") from None
        tables.append(table if len(runs) == 1 else table.assign(run=str(results.store.folder)))
    table = pd.concat(tables, ignore_index=True)
    return _give(table if len(runs) == 1 else table[["run", *table.columns.drop("run")]], json)


def _give(table: "pd.DataFrame", json: bool, more: dict[str, Any] | None = None) -> int:
    if json:
        extra = {key: value if isinstance(value, str) else plain_rows(value) for key, value in (more or {}).items()}
        give_json({"rows": plain_rows(table), **extra})
        return 0
    print(table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4g}"))
    if more and "figure" in more:
        say(f"see {more['figure']}")
    return 0


def _anova(
    table: "pd.DataFrame", between: str | None, permutations: int, leave_out: bool, of: str = ""
) -> "pd.DataFrame":
    import numpy as np

    from metamers.analysis import anova as variance_table
    from metamers.analysis import design_of, permute, without_incomplete

    within = [name for name in ("stage", "model") if name in table and table[name].nunique() > 1]
    if "stage" not in within:
        raise MetamersError("the run has one stage only; an analysis of variance over stages needs two")
    if leave_out:
        n = table["subject"].nunique()
        table, left_out = without_incomplete(table, value="proportion", subject="subject", within=within)
        if left_out:
            say_note(f"left out, as a stage {of}is missing: {len(left_out)} of {n} subjects ({', '.join(left_out)})")
    try:
        design = design_of(table, value="proportion", subject="subject", within=within, between=between)
    except MetamersError as error:
        hint = " (--leave-out-incomplete)" if "is missing" in str(error) else ""
        raise MetamersError(f"{error}{hint}") from error
    result = variance_table(design)
    if leave_out:
        result = result.assign(n_left_out=len(left_out))
    if not permutations:
        return result
    tested = result["F"].notna() & (result["effect"] != "(Intercept)")
    tests = {e: permute(design, e, n_permutations=permutations) for e in result["effect"][tested]}
    return result.assign(
        permutation_p=[tests[e].p if e in tests else np.nan for e in result["effect"]],
        n_permutations=[tests[e].n_permutations if e in tests else 0 for e in result["effect"]],
    )


def _distinct(runs: tuple[Path, ...]) -> "list[Results]":
    results = _read(runs)
    if len({str(r.store.folder) for r in results}) < len(results):
        raise MetamersError("a run is named twice; name each once")
    return results


def _say_pooled(runs: "list[Results]") -> None:
    for results in runs:
        names = [recipe["name"] for recipe in results.study["recipes"]]
        if len(names) > 1:
            say_note(f"the metamers of {results.name} by {', '.join(names)} are pooled")


def _csv(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise MetamersError(f"{path}: cannot be read as a CSV table ({type(error).__name__}); check it") from None


def _draw(points: "pd.DataFrame", path: Path) -> None:
    from io import BytesIO

    from metamers.report.drawing import styled
    from metamers.report.relation import relation_figure
    from metamers.store import write_whole

    with styled(path.stem):
        content = BytesIO()
        relation_figure(points, points["depth"]).savefig(content, format=path.suffix[1:])
    write_whole(path, content.getvalue())
