"""The question of the package, asked of nets that are here: `python -m benchmarks.findings [PART ...]` writes
docs/findings.md, or those parts of it anew.

Metamers and answers are kept in runs/findings/, so that the command can be stopped and resumed.
"""

import re
import sys
from pathlib import Path

from benchmarks.findings_images import of_cifar, of_pictograms
from benchmarks.findings_sounds import of_keywords, of_words
from benchmarks.published import commit

PAGE = Path(__file__).parent.parent / "docs" / "findings.md"
PARTS = {
    "pictograms": ("Pictograms, the bundled nets", of_pictograms),
    "cifar": ("CIFAR-10, nets of others", of_cifar),
    "words": ("Spoken words, the bundled nets", of_words),
    "keywords": ("Spoken commands and digits, nets of others", of_keywords),
}
INTRODUCTION = """# Findings

Written by `python -m benchmarks.findings`: are the metamers of adversarially trained nets
recognized more often by nets that were not trained so? Proportions named right, over the metamers that passed
verification; a net does not count as an observer of its own metamers. `mean` is over the observers, with its 95 %
interval from resampling references; `of_right` is the same over the references that the generating net itself names
right. A `ratio` is that of two means.

How a metamer is sought decides how often it is recognized, at these late stages as much as how the net was trained:
a search that changes few pixels of its start ends at another metamer than one that changes all. So recipes are
compared here, too."""


def main() -> None:
    """Make what is missing of the parts named, or of all, and write the page."""
    asked = sys.argv[1:] or list(PARTS)
    if unknown := [name for name in asked if name not in PARTS]:
        sys.exit(f"no part {unknown[0]!r}; choose of {', '.join(PARTS)}")
    sections = PAGE.read_text(encoding="utf-8").split("\n## ")[1:] if PAGE.is_file() else []
    there = {section.partition("\n")[0]: section.partition("\n")[2].strip() for section in sections}
    for name in asked:
        title, part = PARTS[name]
        found = re.sub("\n{3,}", "\n\n", part().strip())
        there[title] = f"Measured at commit {commit()}.\n\n{found}"
        text = [f"## {title}\n\n{there[title]}" for title, _ in PARTS.values() if title in there]
        PAGE.write_text("\n\n".join([INTRODUCTION, *text]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
