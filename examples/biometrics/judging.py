# SPDX-License-Identifier: Apache-2.0
"""From a voice to a decision, and from speech to an enrolment: the same for a call and for a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from audio_connector.engines import SpeakerEncoder, Vector
from audio_connector.engines.base.warm import name_of
from audio_connector.errors import UsageError
from biometrics import likeness, spoof
from biometrics.vault import Enrolment

RATE_HZ: Final = spoof.RATE_HZ
SAMPLE_BYTES: Final = 2
SAMPLE_S: Final = 2.0
"""Of speech in a sample of an enrolment."""

SHORTER: Final = 0.15
"""Two samples of two seconds are less alike than three seconds and an enrolment. With this, nine in ten enrolments of
one voice were taken, and three in four of two voices refused, with twelve voices of KLettres at 16 and at 8 kHz."""

Verdict: TypeAlias = Literal[
    "enrolled",
    "refused",
    "accepted",
    "rejected",
    "suspicious",
    "recognised",
    "unknown",
    "too short",
    "failed",
]


class Refused(UsageError):
    """Somebody is not enrolled; the text says why."""


@dataclass(frozen=True)
class Decision:
    """What came out of a call or a file, as it is told to ``on_decision``.

    Attributes:
        verdict: "enrolled" or "refused"; "accepted", "rejected", or "suspicious" where the voice is right and
            something looks like a recording; "recognised" or "unknown"; "too short" where the call ended before;
            "failed" where nothing could be compared, or kept.
        name: Whose voice it is said to be, or is.
        score: How alike.
        threshold: From where on it counts.
        speech_s: After how much speech.
        hints: What looks like a recording.
        why: What else there is to say.
        call: The connection's id.
    """

    verdict: Verdict
    name: str = ""
    score: float = 0.0
    threshold: float = 0.0
    speech_s: float = 0.0
    hints: tuple[str, ...] = ()
    why: str = ""
    call: str = ""

    def __str__(self) -> str:
        """Say it in a line."""
        more = "; ".join((*self.hints, *([self.why] if self.why else [])))
        scored = f" ({self.score:.2f}, threshold {self.threshold:.2f})" if self.score else ""
        return f"{self.verdict}: {self.name or 'nobody'}{scored} after {self.speech_s:.1f} s{more and f': {more}'}"

    def as_json(self) -> dict[str, Any]:
        """As the page has it."""
        return {**vars(self), "score": round(self.score, 3), "hints": list(self.hints)}


@dataclass(frozen=True)
class Lines:
    """Where lines are drawn.

    Attributes:
        threshold: A score from which on it counts as the same voice.
        margin: By how much who is recognised has to be nearer than everybody else.
    """

    threshold: float
    margin: float


@dataclass(frozen=True)
class Nearest:
    """Whom a voice was compared with.

    Attributes:
        name: Who was claimed; or, where nobody was, who is the nearest.
        score: How alike.
        margin: By how much more than the second; 2 where nobody else counts.
        enrolment: Of that name, where there is one of this engine.
    """

    name: str
    score: float = 0.0
    margin: float = 2.0
    enrolment: Enrolment | None = field(default=None, repr=False)


def nearest(voice: Vector, known: Mapping[str, Enrolment], *, claim: str, engine: str) -> Nearest:
    """Compare a voice with a name's, or with everybody's where ``claim`` is empty."""
    ours = {name: each for name, each in known.items() if each.engine == engine}
    if claim:
        enrolment = ours.get(claim)
        return Nearest(claim, likeness.score(voice, enrolment.voice) if enrolment else 0.0, 2.0, enrolment)
    if not ours:
        return Nearest("")
    name, score, margin = likeness.best(voice, {name: each.voice for name, each in ours.items()})
    return Nearest(name, score, margin, ours[name])


def too_short(name: str, spoken_s: float, wanted_s: float) -> Decision:
    """What comes out of less speech than there has to be."""
    return Decision("too short", name, speech_s=round(spoken_s, 2), why=f"expected {wanted_s:g} s of speech")


def judge(found: Nearest, raw: bytes, *, line_hz: int, claim: str, lines: Lines, speech_s: float) -> Decision:
    """Decide; ``raw`` is the audio as it came, for hints, which take some 20 ms."""

    def decision(verdict: Verdict, name: str, **more: Any) -> Decision:  # noqa: ANN401 - of the decision
        return Decision(verdict, name, found.score, lines.threshold, speech_s, **more)

    if found.enrolment is None:
        why = (
            "nobody of that name is enrolled with this engine"
            if claim
            else "nobody is enrolled with this engine"
        )
        return decision("rejected" if claim else "unknown", claim, why=why)
    enrolled_hz, why = found.enrolment.line_hz, ""
    if line_hz != enrolled_hz:
        why = f"enrolled on a line of {enrolled_hz} Hz and heard on one of {line_hz} Hz: scores mean little"
    if found.score < lines.threshold or found.margin < lines.margin:
        return decision("rejected" if claim else "unknown", claim, why=why)
    hints = spoof.hints(
        raw, heard_before=found.enrolment.prints, enrolled_brightness_db=found.enrolment.brightness_db
    )
    good: Verdict = "accepted" if claim else "recognised"
    return decision("suspicious" if hints else good, found.name, hints=tuple(hints), why=why)


async def enrol(
    encoder: SpeakerEncoder,
    speech: bytes,
    raw: bytes,
    *,
    name: str,
    consent: str,
    line_hz: int,
    before: Enrolment | None,
    threshold: float,
) -> Enrolment:
    """Make an enrolment out of speech at 16 kHz.

    Raises:
        Refused: Nobody has agreed, it is more than one voice, or somebody else has the name.
        EngineError: There is no speech in it, or the engine failed.
    """
    if not consent.strip():
        raise Refused("nobody is enrolled who has not agreed; say how and when they have: consent")
    size = round(SAMPLE_S * RATE_HZ) * SAMPLE_BYTES
    cuts = [speech[at : at + size] for at in range(0, max(1, len(speech) - size // 2), size)]
    vectors = np.stack([await encoder.encode(each, sample_rate=RATE_HZ) for each in cuts])
    voice = likeness.template(vectors)
    odd = likeness.oddest(vectors)
    if odd < threshold - SHORTER:
        raise Refused(
            f"two seconds of it are another voice than the rest ({odd:.2f}); speak alone, near the microphone"
        )
    if before is not None and before.engine == name_of(encoder):
        alike = likeness.score(voice, before.voice)
        if alike < threshold:
            raise Refused(f"{name} is enrolled, and this is another voice ({alike:.2f}); forget {name} first")
    return Enrolment(
        name,
        vectors,
        engine=name_of(encoder),
        line_hz=line_hz,
        brightness_db=spoof.brightness_db(raw),
        consent=consent.strip(),
        enrolled_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        prints=(spoof.print_of(raw),),
    )
