# SPDX-License-Identifier: Apache-2.0
"""Makes the small pictures of the applications for the documentation, out of those of their READMEs.

    python tools/thumbnails.py

Each ``examples/NAME/page.png`` becomes ``docs/assets/applications/NAME.png``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PIL import Image

ROOT: Final = Path(__file__).parents[1]

SIZE: Final = (640, 400)
"""Twice what a table shows, for screens with small pixels; the upper part of a page that is higher."""

COLOURS: Final = 64
"""A page has a few plain ones; 64 and no dithering leave a tenth of the bytes."""


def make(page: Path, thumbnail: Path) -> None:
    """Make the small picture of a page.

    Args:
        page: Its picture.
        thumbnail: The file to write.
    """
    with Image.open(page) as picture:
        scale = SIZE[0] / picture.width
        small = picture.convert("RGB").resize(
            (SIZE[0], round(picture.height * scale)), Image.Resampling.LANCZOS
        )
    shown = small.crop((0, 0, SIZE[0], min(small.height, SIZE[1])))
    thumbnail.parent.mkdir(parents=True, exist_ok=True)
    plain = shown.quantize(COLOURS, dither=Image.Dither.NONE)
    plain.save(thumbnail, optimize=True)


if __name__ == "__main__":
    for page in sorted((ROOT / "examples").glob("*/page.png")):
        make(page, ROOT / "docs" / "assets" / "applications" / f"{page.parent.name}.png")
