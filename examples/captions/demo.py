# SPDX-License-Identifier: Apache-2.0
"""What the callers of scenario.yaml say, and what should come of it."""

from __future__ import annotations

from typing import Final

from audio_connector.live.demo import Outcome
from audio_connector.simulator import word_errors
from captions.app import Captions
from captions.delays import percentile

ANN: Final = (
    "he was not an ill disposed young man unless to be rather cold hearted and rather selfish is to be ill disposed "
    "he might even have been made amiable himself"
)
MOST_ERRORS: Final = 0.1
"""Of the words: Whisper base has one or none of 30 wrong."""

MEANT: Final = frozenset({"table", "people"})
"""What has to be in the translation of Luis."""

LATEST_S: Final = 3.0
"""From the end of a word to when it is on the page, for the median: 0.9 s on two cores; a machine that takes so long
is too slow, or too busy, for captions."""


def outcome(app: Captions) -> Outcome:
    """Compare."""
    ann = " ".join(each.text for each in app.captions if each.speaker == "Ann")
    luis = " ".join(each.translation for each in app.captions if each.speaker == "Luis")
    errors = word_errors(ANN, ann)
    p50_s, p95_s = percentile(app.delays_s, 0.5), percentile(app.delays_s, 0.95)
    problems = []
    if errors > MOST_ERRORS:
        problems.append(
            f"got {errors:.1%} of the words wrong, of Ann's {ann!r}; expected {MOST_ERRORS:.0%} at most"
        )
    if not MEANT.issubset(luis.lower().replace(".", "").split()):
        problems.append(f"got {luis!r} as translation of Luis; expected {' and '.join(sorted(MEANT))} in it")
    if not app.delays_s or p50_s > LATEST_S:
        problems.append(
            f"got words on the page after {p50_s:.2f} s; expected {LATEST_S} s at most for half of them"
        )
    lines = [
        "captions:",
        *(
            f"{each.start_s:6.1f} s  {each.speaker}: {each.text}{_translated(each.translation)}"
            for each in app.captions
        ),
        f"word error rate of Ann's {len(ANN.split())} words: {errors:.1%}",
        f"a word was on the page after {p50_s:.2f} s, 95 of 100 after {p95_s:.2f} s",
    ]
    files = [path for folder in app.folders for path in sorted(folder.iterdir())]
    return Outcome(lines, files, problems)


def _translated(text: str) -> str:
    return f"  = {text}" if text else ""
