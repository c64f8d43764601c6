# SPDX-License-Identifier: Apache-2.0
"""Personas in YAML."""

from __future__ import annotations

import os

from audio_connector.audio.wav import FilePath
from audio_connector.simulator.talk.persona import Persona
from audio_connector.simulator.yaml_file import YamlFile, read_text


def load_persona(path: FilePath) -> Persona:
    """Read a persona's file.

    Args:
        path: A YAML file; the documentation describes its words.

    Raises:
        UsageError: The file cannot be read, is not YAML, or has a value that a persona cannot have; the text names
            the file, the line, the place in it, and what is expected.
    """
    return parse_persona(read_text(path, kind="persona"), name=os.fsdecode(os.fspath(path)))


def parse_persona(text: str, *, name: str = "persona") -> Persona:
    """Read a persona's text.

    Args:
        text: YAML.
        name: What to call it in errors.

    Raises:
        UsageError: As `load_persona`.
    """
    return YamlFile(text, name, kind="persona").values(Persona)
