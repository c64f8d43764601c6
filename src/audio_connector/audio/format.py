# SPDX-License-Identifier: Apache-2.0
"""The format of a connection's audio: its sample rate, and every size and duration that follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from audio_connector.errors import AudioFormatError, UsageError

FRAME_MS: Final = 20
"""Duration of the one frame that a wire message carries (PROTOCOL 4.6)."""

SAMPLE_BYTES: Final = 2
"""Size of one mono 16-bit sample."""

SUPPORTED_RATES_HZ: Final = (8000, 16000, 24000)
"""Sample rates that the media router speaks (PROTOCOL 2.5, 4.3)."""

DEFAULT_RATE_HZ: Final = 16000
"""The rate where nothing says another one (PROTOCOL 2.5)."""

MIN_RATE_HZ: Final = 4000
"""Lowest rate of audio that an application may hand over: half of the slowest telephone codec."""

MAX_RATE_HZ: Final = 192000
"""Highest rate of audio that an application may hand over: the fastest rate of studio equipment."""

MAX_CHANNELS: Final = 32
"""More channels than this are taken for a transposed array: (2, 960) is two channels of 960 samples."""

_CONTENT_TYPE: Final = "audio/l16"
_MAX_PARAMETERS: Final = 16  # the router sends one; 16,000 in a text took 4 ms of the loop of all calls
_MAX_RATE_DIGITS: Final = 9  # int() refuses texts of thousands of digits with a ValueError of its own


def check_rate_hz(rate_hz: object) -> int:
    """Check the sample rate of an application's or a file's audio.

    Args:
        rate_hz: The rate, in samples per second.

    Returns:
        The same rate.

    Raises:
        AudioFormatError: It is not an ``int``, or not within ``MIN_RATE_HZ`` and ``MAX_RATE_HZ``.
    """
    if isinstance(rate_hz, int) and not isinstance(rate_hz, bool) and MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        return rate_hz
    raise AudioFormatError(
        f"got the sample rate {rate_hz!r}; expected an int from {MIN_RATE_HZ} to {MAX_RATE_HZ}; "
        "give the audio's own rate in samples per second"
    )


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Mono 16-bit little-endian PCM at one of the router's rates.

    Attributes:
        rate_hz: Samples per second; one of ``SUPPORTED_RATES_HZ``.

    Raises:
        AudioFormatError: ``rate_hz`` is not one of them.
    """

    rate_hz: int = DEFAULT_RATE_HZ

    def __post_init__(self) -> None:
        rate_hz: object = self.rate_hz
        if type(rate_hz) is not int or rate_hz not in SUPPORTED_RATES_HZ:
            raise AudioFormatError(
                f"got rate_hz={rate_hz!r}; expected one of the ints {_allowed_rates()}; "
                "use the connection's rate and say the audio's own with sample_rate="
            )

    @property
    def frame_samples(self) -> int:
        """Samples in one 20 ms frame: 160, 320 or 480."""
        return self.rate_hz * FRAME_MS // 1000

    @property
    def frame_bytes(self) -> int:
        """Bytes in one 20 ms frame: 320, 640 or 960 (PROTOCOL 4.6)."""
        return self.frame_samples * SAMPLE_BYTES

    @property
    def bytes_per_second(self) -> int:
        """Bytes in one second: 16,000, 32,000 or 48,000."""
        return self.rate_hz * SAMPLE_BYTES

    @property
    def content_type(self) -> str:
        """The name of the format in the router's first message, for example ``audio/l16;rate=16000``."""
        return f"{_CONTENT_TYPE};rate={self.rate_hz}"

    def duration_ms(self, size_bytes: int) -> float:
        """Return how long audio of this size plays.

        Args:
            size_bytes: Size of the audio; an odd byte counts as half a sample.

        Returns:
            Milliseconds.
        """
        return size_bytes * 1000 / self.bytes_per_second

    def bytes_for_ms(self, ms: float) -> int:
        """Return the size of audio that plays this long, to the nearest whole sample.

        Args:
            ms: Milliseconds, zero or more.

        Returns:
            Bytes, always an even number; the exact inverse of `duration_ms` for whole samples.

        Raises:
            UsageError: ``ms`` is negative, infinite or not a number.
        """
        if not 0 <= ms < math.inf:
            raise UsageError(
                f"got a duration of {ms!r} ms; expected zero or more, and finite; check its sign and unit"
            )
        samples_per_ms = self.rate_hz // 1000  # exact: every supported rate is a multiple of 1000
        return round(ms * samples_per_ms) * SAMPLE_BYTES

    @classmethod
    def from_content_type(cls, content_type: str) -> AudioFormat:
        """Read the ``content-type`` of the router's first message (PROTOCOL 2.5).

        Spaces, upper case, quoted values and parameters other than ``rate`` and ``channels`` are tolerated; a
        missing rate means 16,000 Hz. Of what comes more than once the first counts.

        Args:
            content_type: For example ``audio/l16;rate=16000``.

        Returns:
            The format.

        Raises:
            AudioFormatError: It is another media type, a rate that the protocol does not have, or not mono; or it has
                more than 16 parameters.
        """
        if not isinstance(content_type, str) or content_type.count(";") > _MAX_PARAMETERS:
            raise _bad_content_type(content_type)
        media_type, parameters = _parts_of(content_type)
        if media_type != _CONTENT_TYPE or parameters.get("channels", "1") != "1":
            raise _bad_content_type(content_type)
        digits = parameters.get("rate", str(DEFAULT_RATE_HZ))
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_RATE_DIGITS):
            raise _bad_content_type(content_type)
        if int(digits) not in SUPPORTED_RATES_HZ:
            raise _bad_content_type(content_type)
        return cls(int(digits))


def may_be_pcm(content_type: str) -> bool:
    """Whether a ``content-type`` leaves it open that the audio is mono 16-bit PCM, of whatever rate."""
    media_type, parameters = _parts_of(content_type)
    return media_type in ("", _CONTENT_TYPE) and parameters.get("channels", "1") == "1"


def _parts_of(content_type: str) -> tuple[str, dict[str, str]]:
    """The media type in lower case, and the parameters by name."""
    media_type, *parameters = content_type.split(";", _MAX_PARAMETERS + 1)
    values: dict[str, str] = {}
    for parameter in parameters[:_MAX_PARAMETERS]:
        name, _, value = parameter.partition("=")
        values.setdefault(name.strip().lower(), value.strip().strip('"').strip())
    return media_type.strip().lower(), values


def _allowed_rates() -> str:
    return ", ".join(str(rate_hz) for rate_hz in SUPPORTED_RATES_HZ)


def _bad_content_type(content_type: object) -> AudioFormatError:
    # Cut, because the text comes from the network and may be of any length.
    return AudioFormatError(
        f"got the content-type {repr(content_type)[:100]}; expected '{_CONTENT_TYPE};rate=N' with N one of "
        f"{_allowed_rates()}, mono; set audioRate to one of these where the call is started"
    )


FORMAT_BY_FRAME = {AudioFormat(rate_hz).frame_bytes: AudioFormat(rate_hz) for rate_hz in SUPPORTED_RATES_HZ}
"""The router sends one frame a message (PROTOCOL 4.6), so the size of one tells the rate where no text has."""
