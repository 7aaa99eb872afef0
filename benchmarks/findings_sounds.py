"""Findings on sounds: the bundled word nets, and keyword nets of others on recorded speech."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from numpy.lib.stride_tricks import sliding_window_view

import metamers
from benchmarks.__main__ import table
from benchmarks.comparisons import RUNS, Comparison, robustness, say, section
from benchmarks.published import real_data
from metamers.matching import Representation
from metamers.models import fit_to_model
from metamers.stimuli import StimulusSet
from metamers.stimuli.sounds import read_wav
from metamers.store import Store, read_table
from metamers.study import ModelTask, Settings, run_local
from metamers.synthesis import recipe_named

FAST = recipe_named("fast", "sound")
WORDS = {
    "word-cochresnet": "standard",
    "word-cochresnet-l2": "adversarial, L2 0.5 at the waveform",
    "word-cochcnn": "standard",
}
LATE = {
    "word-cochresnet": ("layer4", "output"),
    "word-cochresnet-l2": ("layer4", "output"),
    "word-cochcnn": ("relufc", "output"),
}
WORD_OBSERVERS = ("word-cochresnet-b", "word-cochcnn")
ATTACKED, N_ATTACKED = (0.0, 0.125, 0.25, 0.5, 1.0), 96
KEYWORDS = ["_silence_", "_unknown_", "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
"""The classes of the keyword nets."""
KEYWORD_NETS = {"kws_ds_cnn_S": ("pw.3", "output"), "kws_cnn_M": ("fc1", "output")}


COLUMNS = ("model", "stage", "passed", "snr_db", "null_snr_db", "failed_for")


def of_words() -> str:
    """The part on the bundled nets, as Markdown."""
    clips = metamers.load_stimuli("bundled:spoken_clips")
    named = tuple(dict.fromkeys((*WORDS, *WORD_OBSERVERS)))
    attacked = metamers.load_stimuli(f"bundled:spoken_words?split=test&n={N_ATTACKED}&seed=2")
    stages = every_stage([f"bundled:{name}" for name in named], clips[:10], clips, "words")
    return f"""{chr(10).join(f"- `{name}`: {what}" for name, what in WORDS.items())}

The metamers are judged as they are written: 16 bits, 10 ms ramps, an RMS of at most 0.25. Chance is 0.04.

{table(robustness(named, attacked, ATTACKED), ("model", *map(str, ATTACKED)))}

Accuracy over the eps of an L2 attack at the waveform (20 steps of projected gradient descent, {N_ATTACKED} words).

{section([words()], [("word-cochresnet-l2", "word-cochresnet")])}
Every default stage, 10 clips, `{FAST.name}` ({FAST.optimizer}, {FAST.steps} steps); SNR is the median.

{table(stages, COLUMNS)}"""


def of_keywords() -> str:
    """The part on nets of others, as Markdown."""
    commands = keywords()
    path = str(real_data() / "speech" / "free_spoken_digits.zip")
    digits = metamers.load_stimuli(path, label_pattern="{label}_*", rate=16_000, seconds=1.0)
    nets = [f"{real_data()}/nets/kws_nets.py:load:{name}" for name in KEYWORD_NETS]
    of_commands = every_stage(nets, spread(commands, 48), commands, "commands")
    of_digits = every_stage(nets, spread(digits, 24), spread(digits, 400), "digits")
    return f"""`kws_ds_cnn_S` and `kws_cnn_M` take the logarithms of mel filters (MFCC) and name 10 commands, silence or
an unknown word. Of the commands, those 70 clips whose words the nets know; chance is 0.08.

{section([commands_comparison(commands)], [])}
Every default stage, 48 clips of all 30 words:

{table(of_commands, COLUMNS)}

{failures("commands")} Digital silence, every sample 0 throughout a frame, is not found by gradient steps: there the
nets take the logarithm of their floor, 1e-12, which lies so far below that of any sound that these frames are most of
the representation's norm, and its slope is steep. More steps, shorter ones and other seeds end at the same SNR.

24 spoken digits, of 0.2 to 0.6 s, so filled up to 1 s with digital silence, which their null distribution shares; for
metamers of early stages of such nets, sounds should fill the length:

{table(of_digits, COLUMNS)}

{failures("digits")}"""


def words() -> Comparison:
    """Bundled nets and the bundled clips. The observers were trained apart, without perturbations."""
    return Comparison(
        f"words-{FAST.name}",
        {metamers.load_model(f"bundled:{name}"): stages for name, stages in LATE.items()},
        [metamers.load_model(f"bundled:{name}") for name in WORD_OBSERVERS],
        metamers.load_stimuli("bundled:spoken_clips"),
        metamers.load_stimuli("bundled:spoken_words?split=test&n=400&seed=1"),
        (0,),
        FAST,
    )


def keywords() -> StimulusSet:
    """The recorded commands, labeled by the index of the nets' class; words that they do not know are `_unknown_`."""
    path = real_data() / "speech" / "speech_commands_mini.zip"
    sounds = metamers.load_stimuli(str(path), rate=16_000, seconds=1.0)
    known = {word: i for i, word in enumerate(KEYWORDS)}
    return sounds.with_labels([str(known.get(str(label), 1)) for label in sounds.labels])


def commands_comparison(commands: StimulusSet) -> Comparison:
    """Keyword nets and the commands that they know."""
    nets = {name: keyword_net(f"{real_data()}/nets/kws_nets.py:load:{name}") for name in KEYWORD_NETS}
    known = [i for i, label in enumerate(commands.labels) if label != "1"]
    return Comparison(
        f"keywords-{FAST.name}",
        {nets[name]: stages for name, stages in KEYWORD_NETS.items()},
        list(nets.values()),
        commands[known],
        commands,
        (0,),
        FAST,
    )


def keyword_net(spec: str) -> metamers.StagedModel:
    """A net by its name; what is no bundled one takes sounds of 1 s at 16 kHz."""
    if spec.startswith("bundled:"):
        return metamers.load_model(spec)
    return metamers.load_model(spec, kind="sound", sample_rate=16_000, input_size=(1, 16_000))


def _shortly(reason: str) -> str:
    """What a match lacks."""
    parts = {"pearson_r": "r", "spearman_rho": "rho", "snr_db": "SNR", "decision": "decision"}
    return ", ".join(short for word, short in parts.items() if word in reason)


def failures(name: str) -> str:
    """How many cells of a run failed, for which kinds of references."""
    store = Store.open(run_folder(name))
    cells = read_table(store, "matches")
    failed = cells[cells.verdict != "passed"]
    silent = {file for file in cells.reference_file.unique() if _has_silent_frame(str(store.path(file)))}
    of_silent = int(failed.reference_file.isin(silent).sum())
    undecided = int((failed.reason == "the model's decision differs from the reference's").sum())
    return f"""Of {len(failed)} failures, {of_silent} are of the {len(silent)} references (of
{cells.reference_file.nunique()}) with a frame of digital silence, and {undecided} match well enough but for the
decision."""


def _has_silent_frame(path: str) -> bool:
    """Whether all samples of a frame of the keyword nets (40 ms, every 20 ms) are 0."""
    samples, _ = read_wav(path)
    return bool((sliding_window_view(samples, 640)[::320] == 0).all(1).any())


def run_folder(name: str) -> Path:
    """The run of `every_stage`."""
    return RUNS / f"every-stage-{name}-{FAST.name}"


def spread(stimuli: StimulusSet, n: int) -> StimulusSet:
    """`n` of the stimuli, evenly over their order."""
    return stimuli[[i * len(stimuli) // n for i in range(n)]]


def every_stage(specs: Sequence[str], stimuli: StimulusSet, null: StimulusSet, name: str) -> list[Mapping[str, object]]:
    """A row for each model and default stage: cells passed, SNR beside the null's, and what failed how often."""
    tasks = []
    for spec in specs:
        model, fitted = fit_to_model(keyword_net(spec), stimuli)
        stages = model.resolve(["all"])
        tasks.append(ModelTask(model, fitted, tuple(Representation((stage,)) for stage in stages)))
    _, null = fit_to_model(tasks[0].model, null)
    store = run_local(
        run_folder(name),
        tasks,
        Settings((FAST,), None, null_stimuli=null),
        command="python -m benchmarks.findings",
        progress=lambda done, total, what: say(f"{name}: {done:.1f} of {total:.0f} batches: {what}"),
    )
    rows: list[Mapping[str, object]] = []
    for (model_name, stage), cells in read_table(store, "matches").groupby(["model", "stage"], sort=False):
        reasons = cells.reason[cells.verdict != "passed"].map(_shortly).value_counts()
        rows.append(
            {
                **{"model": model_name, "stage": stage},
                "passed": f"{(cells.verdict == 'passed').sum()} of {len(cells)}",
                **{"snr_db": cells.snr_db.median(), "null_snr_db": cells.null_snr_db.iloc[0]},
                "failed_for": "; ".join(f"{n}: {' '.join(str(reason).split())}" for reason, n in reasons.items())
                or "-",
            }
        )
    return rows
