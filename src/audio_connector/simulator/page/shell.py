# SPDX-License-Identifier: Apache-2.0
"""What every page is in: one HTML file with its style and its script, which asks for nothing else."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from audio_connector.simulator.page.text import attribute


def render_shell(title: str, body: str, *, has_audio: bool = False) -> str:
    """Return the whole file, to be written as UTF-8.

    Args:
        title: The title, possibly a peer's text.
        body: HTML.
        has_audio: It has audio in it, as ``data:`` URLs.
    """
    style, script = _resource("page.css"), _resource("page.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:"
    policy += "; media-src data:" if has_audio else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{attribute(title)}</title><style>{style}</style></head>\n<body>"
        f"{body}\n<script>{script}</script></body></html>\n"
    )


@cache
def _resource(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What the page's policy allows by name: nothing else runs, and nothing is fetched."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
