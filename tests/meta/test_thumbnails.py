# SPDX-License-Identifier: Apache-2.0
"""Each application's picture is in the documentation too, small."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from thumbnails import SIZE, make

ROOT = Path(__file__).parents[2]
PICTURED = sorted(path.parent.name for path in (ROOT / "examples").glob("*/page.png"))
MAX_BYTES = 60_000


def test_every_picture_of_an_application_is_on_the_page_of_all() -> None:
    page = (ROOT / "docs" / "applications" / "index.md").read_text(encoding="utf-8")
    small = ROOT / "docs" / "assets" / "applications"
    lacking = [name for name in PICTURED if not (small / f"{name}.png").is_file()]
    assert lacking == [], "python tools/thumbnails.py makes them"
    assert [name for name in PICTURED if f"assets/applications/{name}.png" not in page] == []
    assert [path.name for path in small.glob("*.png") if path.stat().st_size > MAX_BYTES] == []


@pytest.mark.parametrize(("height", "shown"), [(3000, SIZE[1]), (200, 100)])
def test_a_picture_becomes_small_and_keeps_its_top(height: int, shown: int, tmp_path: Path) -> None:
    picture = Image.new("RGB", (1280, height), "white")
    picture.paste((200, 0, 0), (0, 0, 1280, 50))
    picture.save(tmp_path / "page.png")
    make(tmp_path / "page.png", tmp_path / "new" / "a.png")
    with Image.open(tmp_path / "new" / "a.png") as small:
        assert small.size == (SIZE[0], shown)
        assert small.convert("RGB").getpixel((5, 5)) == pytest.approx((200, 0, 0), abs=8)
