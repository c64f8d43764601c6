# SPDX-License-Identifier: Apache-2.0
"""What an application is told by its one file of settings: TOML, checked, with errors that name file and key."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

from pydantic import Field, model_validator

from audio_connector.errors import UsageError, VideoError
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.run import HOST, PORT
from audio_connector.validation import FrozenValues
from audio_connector.validation.fields import Host, Port

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

S = TypeVar("S", bound="AppSettings")

EngineTable: TypeAlias = dict[str, Any]
"""``engine``, its name, and what its adapter takes; for `audio_connector.engines.engine_of`."""


class PageSettings(FrozenValues):
    """Where the page is.

    Attributes:
        host: What it listens on. Nobody who can reach it is asked who they are.
        port: TCP port; 0 takes a free one.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    host: Host = "127.0.0.1"
    port: Port = 8080


class AppSettings(FrozenValues):
    """What every application can be told; one has a model of its own that inherits from this.

    Attributes:
        server: Fields of `AudioConnectorServerConfig`: host, port, limits, tls and so on.
        page: Where the page is.
        output: Folder for what is written; beside where the program is started.

    Raises:
        UsageError: A value is wrong; the text names it.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    server: Annotated[dict[str, Any], Field(default_factory=dict)]
    page: PageSettings = PageSettings()
    output: Path = Path("output")

    @model_validator(mode="after")
    def _understands_its_language(self) -> AppSettings:
        check_language(getattr(self, "language", None), getattr(self, "recogniser", None), name="recogniser")
        return self


def check_language(language: str | None, recogniser: Mapping[str, Any] | None, *, name: str) -> None:
    """Refuse a model of English for another language.

    Args:
        language: What is spoken; None where the recogniser guesses.
        recogniser: Its table of the settings.
        name: Of that table.

    Raises:
        ValueError: It is one; what pydantic makes of it names the settings.
    """
    model = str((recogniser or {}).get("model", ""))
    if language not in (None, "en") and model.endswith(".en"):
        raise ValueError(
            f"language = {language!r}, and model = {model!r} of {name} knows English only; expected one without "
            "'.en', such as 'base'"
        )


def read_settings(path: Path, model: type[S]) -> S:
    """Read the settings of a file.

    Raises:
        UsageError: It cannot be read, is no TOML, or a value is wrong; the text names the file.
    """
    try:
        values: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; expected a file of settings in TOML") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a text in UTF-8; expected a file of settings in TOML") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}; expected TOML, such as port = 8080") from error
    try:
        settings = model.from_values(values)
    except UsageError as error:
        raise _named(error, model, f"{path}:") from error
    try:
        AudioConnectorServerConfig.from_values({"host": HOST, "port": PORT, **settings.server})
    except VideoError as error:
        raise _named(error, AudioConnectorServerConfig, f"{path}: [server]") from error
    return settings


def _named(error: VideoError, model: type, where: str) -> UsageError:
    """The same by where it stands, instead of by what was to be made of it."""
    return UsageError(f"{where} {str(error).removeprefix(f'{model.__name__}: ')}")


def make_folder(path: Path) -> None:
    """Make a folder where there is none.

    Raises:
        UsageError: The disk refuses, or something else has its name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder {str(path)!r} cannot be made: {error.strerror or error}; expected one that can be written "
            'to, such as output = "/tmp/output" in the settings'
        ) from error
