"""`metamers replicate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from metamers.cli.options import Count, Json
from metamers.cli.output import give_json, progress, say, say_note

if TYPE_CHECKING:
    from metamers.published import Replication


def replicate(
    article: Literal["feather2023"],
    /,
    *,
    data: Path,
    out: Path = Path("runs/feather2023"),
    permutations: Annotated[Count, Parameter()] = 10_000,
    json: Json = False,
) -> int:
    """Compute an article's published results again from its public data, and set ours beside theirs.

    Every row of its analyses of variance, means, correlations; with a page of figures, OUT/report.html.

    Parameters
    ----------
    article
        feather2023: Feather, Leclerc, Mądry & McDermott, Nature Neuroscience 26, 2017-2034.
    data
        The folder with the published .mat and CSV files.
    out
        Where the page goes.
    permutations
        For each permutation test.
    """
    from metamers.published import replicate as recompute
    from metamers.published import require_free, write_page

    require_free(out)
    with progress() as update:
        outcome = recompute(data, permutations, lambda done, total: update(done, total, "comparisons"))
    page = write_page(outcome, out)
    summary = {"article": article, **outcome.summary(), "report": str(page)}
    for item in outcome.missing:
        say_note(f"missing: {item['what']} {item['name']}" + (f": {item['reason']}" if "reason" in item else ""))
    if json:
        give_json(summary)
        return 0
    _print_rows(outcome)
    say(_statement(summary))
    say(f"see {page}")
    return 0


def _print_rows(outcome: "Replication") -> None:
    print("Effect, largest relative difference, ours (published); SS: sum of squares")
    last = None
    for row in outcome.anova:
        if (row["experiment"], row["comparison"]) != last:
            last = row["experiment"], row["comparison"]
            print(f"{last[0]}: {last[1]}")
        cells = [
            f"{name} {row['ours'][key]:.5g} ({row['published'][key]:.5g})"
            for name, key in (("SS", "SumSq"), ("F", "F"), ("p", "pValue"), ("permutation p", "permutation_p"))
            if key in row["published"]
        ]
        if row.get("permutation") and row["permutation"]["exempt"]:
            cells.append("exempt: see the page")
        print(f"  {row['effect']:<30} {row['relative_difference']:.1e}  {', '.join(cells)}")
    for row in outcome.relations:
        print(f"people against other models, {row['modality']}: {_pairs(row['ours'], row['published'])}")
        print(f"  {row['n_points']} points of {row['n_models']} models ({row['published_n_points']} published)")
    scores = {row["region"]: row["ours"] for row in outcome.brain_score}
    print(f"Brain-Score, Spearman: {_pairs(scores, {r['region']: r['published'] for r in outcome.brain_score})}")
    for row in outcome.brain_score:
        print(
            f"  {row['region']}: {row['n_models']} models with human data here ({row['published_n_models']} published)"
        )


def _pairs(ours: dict[str, Any] | None, published: dict[str, float]) -> str:
    values = ours or dict.fromkeys(published)
    shown = {name: "-" if values[name] is None else f"{values[name]:.3f}" for name in published}
    return ", ".join(f"{name} {shown[name]} ({published[name]:.3f})" for name in published)


def _statement(summary: dict[str, Any]) -> str:
    n = len(summary["anova"])
    if not n:
        return "no published row could be compared"
    agree = n - len(summary["disagreements"])
    largest = summary["largest_relative_difference"]
    return f"{agree} of {n} published ANOVA rows agree; largest relative difference {largest:.1e}"
