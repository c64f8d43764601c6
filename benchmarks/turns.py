# SPDX-License-Identifier: Apache-2.0
"""What does listening cost? CPU per frame of 20 ms, the best of rounds, of what `audio_connector.turns` is made of.

Rows of the table:

* energy: the built-in detector alone; silence, digital, which it knows at a glance, and speech.
* turns: `TurnDetector` with it, in frames as ``client.audio()`` gives them; a rate other than the detector's is
  converted first.
* session: one stream's track, and the mix of four (``handle.sessions``).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

from audio_connector.audio.activity import EnergyDetector
from audio_connector.call.tells import Taped
from audio_connector.server.session_tracks import Mix, Track
from audio_connector.simulator import sample_speech
from audio_connector.turns import TurnDetector

EXAMPLES = """examples:
  python benchmarks/turns.py

exit status: 0 measured"""

ROUNDS = 5
STREAMS = 4
BATCH_FRAMES = 5


def frames_of(pcm: bytes, rate_hz: int) -> list[bytes]:
    """Cut into frames of 20 ms."""
    size = rate_hz // 50 * 2
    return [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]


def best_us(work: Callable[[list[bytes]], None], frames: list[bytes]) -> float:
    """Microseconds of CPU for one of them."""
    times_s = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work(frames)
        times_s.append(time.process_time() - began)
    return min(times_s) / len(frames) * 1e6


def measure() -> Iterator[tuple[str, float]]:
    """The rows, one after the other."""
    speech = {
        rate_hz: frames_of(sample_speech(rate_hz=rate_hz, pauses_s=[1.0]) * 5, rate_hz)
        for rate_hz in (8000, 16000)
    }

    def detect(frames: list[bytes]) -> None:
        detector = EnergyDetector()
        for frame in frames:
            detector.probability(frame)

    yield "energy, silence", best_us(detect, [bytes(640)] * 2000)
    yield "energy, speech", best_us(detect, speech[16000])

    def take_turns(turns: TurnDetector, frames: list[bytes]) -> None:
        for frame in frames:
            turns.feed(frame)

    yield "turns, 16 kHz", best_us(lambda frames: take_turns(TurnDetector(), frames), speech[16000])
    yield (
        "turns, 8 kHz",
        best_us(lambda frames: take_turns(TurnDetector(sample_rate=8000), frames), speech[8000]),
    )
    converted = lambda frames: take_turns(TurnDetector(EnergyDetector(16000), sample_rate=8000), frames)  # noqa: E731
    yield "turns, 8 kHz, detector at 16", best_us(converted, speech[8000])
    yield "session, one stream", best_us(track, speech[16000])
    yield f"session, mix of {STREAMS}", best_us(mix, speech[16000])


def track(frames: list[bytes]) -> None:
    """As the tape of a connection tells it, ten times a second."""
    one = Track(0.0)
    for at in range(0, len(frames), BATCH_FRAMES):
        came = tuple(
            ((at + number + 1) / 50, frame) for number, frame in enumerate(frames[at : at + BATCH_FRAMES])
        )
        one.add(Taped(1, 0.0, came[-1][0], 16000, came, (), (), 0.0, is_complete=True))


def mix(frames: list[bytes]) -> None:
    """Four streams, frame by frame."""
    together = Mix()
    for number, frame in enumerate(frames):
        for _ in range(STREAMS):
            together.add(number, frame)
        together.take([number + 1] * STREAMS, number + 1)


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    print(f"{'':30}{'us a frame':>12}{'% of a core':>14}")
    for name, us in measure():
        print(f"{name:30}{us:12.1f}{us * 50 / 1e4:14.2f}")
