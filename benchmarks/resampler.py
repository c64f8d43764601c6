# SPDX-License-Identifier: Apache-2.0
"""Measures the resampler: delay, CPU, aliasing, frequency response and noise.

Run ``python benchmarks/resampler.py``; where soxr is installed, its HQ and its variable-rate engine (VR) are
measured beside it. Columns of the table:

* delay: milliseconds of audio fed minus milliseconds returned, right after a call; worst and mean.
* empty: share of the calls that returned nothing.
* CPU: milliseconds of one core for one second of audio; the best of five runs.
* alias: level of what should not be there. Downwards tones at 0.505 and 0.6 of the output rate, which cannot be
  represented; upwards the mirror image of a tone at 0.42 of the input rate. At -120 nothing was left.
* 0.42, 0.45 fs: level of a tone at that part of the lower rate; 0 dB is unchanged.
* SNR: a 1 kHz tone at -6 dBFS against all else in the output; 16-bit rounding alone allows about 92 dB.
* shift: how far the output is displaced, in samples of the output rate.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from audio_connector.audio.resample import Resampler

try:
    import soxr
except ImportError:
    soxr = None

Floats = npt.NDArray[np.float64]

RATE_PAIRS_HZ = (
    (24000, 16000), (16000, 24000), (8000, 16000), (16000, 8000), (24000, 8000), (48000, 16000), (22050, 8000),
    (44100, 16000), (44100, 24000), (22049, 16000),
)  # fmt: skip
AMPLITUDE = 16384  # -6 dBFS, so that no filter's overshoot is clipped
TONE_S = 2.0


class Engine(Protocol):
    """What is measured."""

    def push(self, pcm: bytes) -> bytes: ...  # noqa: D102
    def finish(self) -> bytes: ...  # noqa: D102


class Soxr:
    """A stream of soxr, in float32 because it dithers int16."""

    def __init__(self, in_hz: int, out_hz: int, *, is_variable: bool) -> None:
        self._stream: Any = soxr.ResampleStream(
            in_hz, out_hz, 1, dtype="float32", quality="HQ", vr=is_variable
        )

    def push(self, pcm: bytes, *, is_last: bool = False) -> bytes:
        """Feed a piece."""
        samples = self._stream.resample_chunk(np.frombuffer(pcm, "<i2").astype(np.float32), last=is_last)
        return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()

    def finish(self) -> bytes:
        """End the stream."""
        return self.push(b"", is_last=True)


Maker = Callable[[int, int], Engine]
ENGINES: dict[str, Maker] = {"ours": Resampler}
if soxr is not None:
    ENGINES["HQ"] = partial(Soxr, is_variable=False)
    ENGINES["VR"] = partial(Soxr, is_variable=True)


@dataclass(frozen=True)
class Delay:
    """How far the output of a stream of pieces lags behind its input."""

    worst_ms: float
    mean_ms: float
    empty_percent: float


def tone(hz: float, rate_hz: int, seconds: float) -> bytes:
    """Return a 16-bit sine with half-amplitude full scale."""
    n = np.arange(int(rate_hz * seconds))
    wave: Floats = np.rint(AMPLITUDE * np.sin(2 * np.pi * hz * n / rate_hz))
    return wave.astype("<i2").tobytes()


def converted(pcm: bytes, in_hz: int, out_hz: int, make: Maker) -> Floats:
    """Convert in pieces of 20 ms and return the middle half, where no edge disturbs."""
    resampler = make(in_hz, out_hz)
    piece_bytes = in_hz // 50 * 2
    pieces = [resampler.push(pcm[at : at + piece_bytes]) for at in range(0, len(pcm), piece_bytes)]
    samples = np.frombuffer(b"".join([*pieces, resampler.finish()]), "<i2").astype(np.float64)
    return samples[len(samples) // 4 : len(samples) * 3 // 4]


def fit(samples: Floats, hz: float, rate_hz: int, start: int) -> tuple[float, float, Floats]:
    """Fit a sine of a known frequency: its amplitude, its phase in radians, and what is left."""
    angle = 2 * np.pi * hz * (start + np.arange(len(samples))) / rate_hz
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    (sine, cosine), *_ = np.linalg.lstsq(basis, samples, rcond=None)
    return float(np.hypot(sine, cosine)), float(np.arctan2(cosine, sine)), samples - basis @ (sine, cosine)


def decibels(ratio: float) -> float:
    """Return an amplitude ratio in dB, at least -120."""
    return 20 * float(np.log10(max(ratio, 1e-6)))


def rms(samples: Floats) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(samples**2)))


def noise_pieces(rate_hz: int, piece_ms: int, seconds: int) -> list[bytes]:
    """Return noise, cut into pieces."""
    samples = np.random.default_rng(7).standard_normal(rate_hz * seconds) * 4000
    pcm = samples.clip(-32768, 32767).astype("<i2").tobytes()
    piece_bytes = rate_hz * piece_ms // 1000 * 2
    return [pcm[at : at + piece_bytes] for at in range(0, len(pcm), piece_bytes)]


def measure_delay(in_hz: int, out_hz: int, make: Maker, pieces: list[bytes]) -> Delay:
    """Feed piece by piece, and note how far the output lags behind."""
    resampler = make(in_hz, out_hz)
    fed_bytes = returned_bytes = empty = 0
    delays_ms: list[float] = []
    for piece in pieces:
        out = resampler.push(piece)
        fed_bytes += len(piece)
        returned_bytes += len(out)
        empty += not out
        delays_ms.append(fed_bytes / in_hz * 500 - returned_bytes / out_hz * 500)
    return Delay(max(delays_ms), sum(delays_ms) / len(delays_ms), 100 * empty / len(delays_ms))


def measure_cpu(in_hz: int, out_hz: int, make: Maker, pieces: list[bytes]) -> float:
    """Return the CPU milliseconds for one second of audio: the best of five runs."""
    best_s = float("inf")
    for _ in range(5):
        resampler = make(in_hz, out_hz)
        resampler.push(pieces[0])  # opens the stream
        began_s = time.process_time()
        for piece in pieces:
            resampler.push(piece)
        best_s = min(best_s, time.process_time() - began_s)
    return best_s * 1000 / (sum(map(len, pieces)) / in_hz / 2)


def measure_alias(in_hz: int, out_hz: int, make: Maker) -> float:
    """Return the level of what the filter should have removed, in dB against the tone fed."""
    if out_hz < in_hz:
        tones = [tone(part * out_hz, in_hz, TONE_S) for part in (0.505, 0.6)]
        worst = max(rms(converted(pcm, in_hz, out_hz, make)) for pcm in tones)
        return decibels(worst * 2**0.5 / AMPLITUDE)
    samples = converted(tone(0.42 * in_hz, in_hz, TONE_S), in_hz, out_hz, make)
    spectrum = np.abs(np.fft.rfft(samples * np.blackman(len(samples))))
    above = spectrum[np.fft.rfftfreq(len(samples), 1 / out_hz) > in_hz / 2]
    return decibels(float(above.max() / spectrum.max()))


def measure_level(in_hz: int, out_hz: int, make: Maker, *, part: float) -> float:
    """Return the level in dB of a tone at this part of the lower rate."""
    hz = part * min(in_hz, out_hz)
    amplitude, _, _ = fit(converted(tone(hz, in_hz, TONE_S), in_hz, out_hz, make), hz, out_hz, 0)
    return decibels(amplitude / AMPLITUDE)


def measure_noise(in_hz: int, out_hz: int, make: Maker) -> tuple[float, float]:
    """Return the signal-to-noise ratio in dB and the shift in output samples of a 1 kHz tone."""
    samples = converted(tone(1000, in_hz, TONE_S), in_hz, out_hz, make)
    amplitude, phase, rest = fit(samples, 1000, out_hz, int(out_hz * TONE_S) // 4)
    return decibels(amplitude / 2**0.5 / rms(rest)), -phase / (2 * np.pi) * out_hz / 1000


def main() -> None:
    """Print the table."""
    summary, _, columns = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=columns, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--piece-ms", type=int, default=20, help="size of the pieces fed (default: 20)")
    parser.add_argument("--seconds", type=int, default=10, help="audio to measure CPU over (default: 10)")
    parser.add_argument("--engine", choices=list(ENGINES), help="measure this one only")
    args = parser.parse_args()
    if args.piece_ms < 1 or args.seconds < 1:
        parser.error("--piece-ms and --seconds: expected 1 or more")
    engines = {args.engine: ENGINES[args.engine]} if args.engine else ENGINES
    print(
        "rates Hz         engine  delay ms worst/mean  empty %  CPU ms/s"
        "  alias dB  0.42/0.45 fs dB  SNR dB  shift"
    )
    for in_hz, out_hz in RATE_PAIRS_HZ:
        pieces = noise_pieces(in_hz, args.piece_ms, args.seconds)
        for name, make in engines.items():
            delay = measure_delay(in_hz, out_hz, make, pieces)
            levels = [measure_level(in_hz, out_hz, make, part=part) for part in (0.42, 0.45)]
            snr_db, shift_samples = measure_noise(in_hz, out_hz, make)
            print(
                f"{in_hz:6d} > {out_hz:6d} {name:>6s}    {delay.worst_ms:8.1f} / {delay.mean_ms:5.1f}"
                f"    {delay.empty_percent:7.0f}  {measure_cpu(in_hz, out_hz, make, pieces):8.2f}"
                f"  {measure_alias(in_hz, out_hz, make):8.0f}  {levels[0]:7.2f} / {levels[1]:6.2f}"
                f"  {snr_db:6.0f}  {shift_samples:5.2f}"
            )


if __name__ == "__main__":
    main()
