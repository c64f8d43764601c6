# SPDX-License-Identifier: Apache-2.0
"""Whom the page calls: the parrot, an application from the current folder, or a server that runs already."""

from __future__ import annotations

import difflib
import pkgutil
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from audio_connector import AudioConnectorConnection, AudioConnectorServerConfig
from audio_connector.errors import AudioConnectorConfigError, UsageError
from audio_connector.playground.faults import describe
from audio_connector.playground.parrot import parrot
from audio_connector.server.run import importing_an_application
from audio_connector.validation.handlers import takes
from audio_connector.wire.quoting import without_secrets

Configure: TypeAlias = Callable[[], Awaitable[AudioConnectorServerConfig]]
"""Makes an application's configuration, on the loop that will run it."""

_APP: Final = re.compile(r"(?P<module>[^\W\d][\w.]*):(?P<name>[^\W\d][\w.]*)")
_WHAT = (
    "an on_connect function, an AudioConnectorServerConfig, a mapping of its fields, or a function without "
    "parameters that returns one of these"
)


@dataclass(frozen=True, slots=True)
class Bot:
    """Whom to call.

    Attributes:
        label: How the page names it.
        url: The server's address; None for an application that has to be served first.
        configure: Makes the application's configuration; None for a server that runs already.
    """

    label: str
    url: str | None = None
    configure: Configure | None = None


def find_bot(argument: str | None) -> Bot:
    """Understand the command's argument, and import the application that it names.

    Args:
        argument: ``ws://…``, ``module:app``, or None for the parrot.

    Raises:
        UsageError: It is none of the three, or the application cannot be imported; the text says why and where.
    """
    if argument is None:

        async def on_connect(client: AudioConnectorConnection) -> None:
            await parrot(client)

        return Bot("the packaged parrot", configure=configure_with("parrot", on_connect))
    if "://" in argument:
        return Bot(without_secrets(argument), url=argument)
    if _APP.fullmatch(argument) is None:
        raise UsageError(
            f"{argument!r} is neither a server, such as ws://localhost:8765, nor an application, such as "
            "bot:on_connect"
        )
    return Bot(argument, configure=configure_with(argument, load_application(argument)))


def load_application(argument: str) -> Any:  # noqa: ANN401 - whatever it is, who serves it checks it
    """Import a module of the current folder, or an installed one, and return what ``module:name`` names in it.

    Raises:
        UsageError: That is none, or cannot be imported; the text says why and where.
    """
    found = _APP.fullmatch(argument)
    if found is None:
        raise UsageError(f"{argument!r} is no application; expected MODULE:NAME, such as bot:on_connect")
    module, name = found["module"], found["name"]
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        # pkgutil, because the name is the user's; imports of our own are written out, so that the layers can be read.
        with importing_an_application():
            imported = pkgutil.resolve_name(f"{module}:")
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            hint = (
                f"; did you mean {module[:-3]}:{name}?"
                if module == error.name and module.endswith(".py")
                else ""
            )
            raise UsageError(
                f"there is no module {error.name!r} in {folder}, nor is one installed{hint}"
            ) from error
        raise UsageError(f"{module} cannot be imported: {describe(error)}") from error
    except (Exception, SystemExit) as error:  # whatever the module does at import is the user's to mend
        raise UsageError(f"{module} cannot be imported: {describe(error)}") from error
    try:
        return pkgutil.resolve_name(f"{module}:{name}")
    except AttributeError as error:
        names = [other for other, value in vars(imported).items() if _may_be_served(other, value, module)]
        close = difflib.get_close_matches(name, names, n=1)
        hint = (
            f"did you mean {close[0]!r}?"
            if close
            else f"it has {', '.join(names[:12]) or 'nothing to serve'}"
        )
        raise UsageError(f"{module} has no {name!r}; {hint}") from error


def _may_be_served(name: str, value: object, module: str) -> bool:
    is_its_own = callable(value) and getattr(value, "__module__", None) == module
    return not name.startswith("_") and (
        is_its_own or isinstance(value, AudioConnectorServerConfig | Mapping)
    )


def configure_with(label: str, app: object) -> Configure:
    """Return what makes an application's configuration; what can be told at once is checked at once.

    Args:
        label: How errors name the application.
        app: What it is, see `find_bot`.

    Raises:
        UsageError: It is nothing that can be served.
    """
    if _is_factory(app):

        async def call() -> AudioConnectorServerConfig:
            assert callable(app)
            try:
                made = app()
                if isinstance(made, Awaitable):
                    made = await made
            except Exception as error:
                raise UsageError(f"{label} failed: {describe(error)}") from error
            return _config_of(f"what {label} returned", made)

        return call
    config = _config_of(label, app)

    async def give() -> AudioConnectorServerConfig:
        return config

    return give


def _is_factory(app: object) -> bool:
    if isinstance(app, AudioConnectorServerConfig | Mapping) or not callable(app):
        return False
    return takes(app, 0) and not takes(app, 1)


def _config_of(label: str, app: object) -> AudioConnectorServerConfig:
    """Return the configuration of an application, on a free port of this machine only, without TLS."""
    here: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "ssl": None, "tls": None}
    if isinstance(app, AudioConnectorServerConfig):
        values = {name: getattr(app, name) for name in type(app).model_fields}
    elif isinstance(app, Mapping):
        values = dict(app)
    elif callable(app) and takes(app, 1):
        values = {"on_connect": app}
    else:
        raise UsageError(f"{label} is {_shorten(repr(app))}; expected {_WHAT}")
    try:
        return AudioConnectorServerConfig(**{**values, **here})
    except AudioConnectorConfigError as error:
        raise UsageError(f"{label}: {error}") from error
    except TypeError as error:  # a mapping whose keys are no texts
        raise UsageError(f"{label} is {_shorten(repr(app))}; expected {_WHAT}") from error


def _shorten(text: str, size: int = 80) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"
