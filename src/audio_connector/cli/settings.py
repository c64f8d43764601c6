# SPDX-License-Identifier: Apache-2.0
"""What ``audio-connector serve`` can be told, by flag, environment or file: one definition, and who told it.

A flag goes before the environment, that before the file, and that before what the application's configuration says.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from audio_connector.call.settings import LeadMs, MaxDelayMs, MaxMessageBytes, MaxTextBytes, Seconds
from audio_connector.errors import UsageError
from audio_connector.validation import Values
from audio_connector.validation.fields import Host, Port

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX: Final = "AUDIO_CONNECTOR_"

OTHERS: Final = frozenset({f"{PREFIX}COMPILE", f"{PREFIX}MODELS"})
"""Variables that the build and the speech engines read."""

OF_KUBERNETES: Final = re.compile(rf"{PREFIX}(SERVICE_(HOST|PORT)|PORT_\d+_[A-Z]+)(_\w+)?")
"""What every container gets where a service is called audio-connector."""

FLAG: Final = "flag"
"""The origin of what was told on the command line."""


def _is_no_blank(path: object) -> object:
    if isinstance(path, str) and not path.strip():
        raise ValueError("an empty text; expected the path of a file")
    return path


def _lower(level: object) -> object:
    return level.lower() if isinstance(level, str) else level


def _joined(networks: object) -> object:
    """A file may have them as a list, as the configuration does."""
    return ", ".join(map(str, networks)) if isinstance(networks, list | tuple) else networks


File = Annotated[Path, BeforeValidator(_is_no_blank)]
Descriptor = Annotated[int, Field(ge=0, le=(1 << 31) - 1)]
CountOrZero = Annotated[int, Field(ge=0)]
NumberOrZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""0 for without; the configuration knows the rest of the bounds."""


def _is_no_secret(value: object) -> object:
    """What is wrong with a secret is said without it."""
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return " ".join(value)
    if value is not None and not (isinstance(value, str) and value.strip(" ,")):
        raise ValueError(f"token_keys={SECRET}: expected a text, or several")
    return value


SECRET: Final = "***"


@dataclass(frozen=True)
class Hidden:
    """Beside a setting that is a secret: it is never shown, and no flag, since everybody on a machine sees those."""


@dataclass(frozen=True)
class Of:
    """Beside a setting: it is the field of that name in this group of the configuration.

    Where ``zero_is_none``, 0 says None: a flag and a variable have no other word for it.
    """

    group: str
    zero_is_none: bool = False

    def value_of(self, told: object) -> object:
        """What the field is to be."""
        return None if self.zero_is_none and told == 0 else told


_LIMIT, _TIMEOUT = Of("limits", zero_is_none=True), Of("timeouts", zero_is_none=True)


class ServeSettings(Values):
    """All of them; None where the application's configuration, or the library, has the value.

    What has the name of a field of the configuration, or stands in one of its groups by `Of`, takes its place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    error_class = UsageError

    host: Host | None = Field(default=None, description="What to listen on; an empty text for every address.")
    port: Port | None = Field(default=None, description="TCP port; 0 takes a free one.")
    fd: Descriptor | None = Field(
        default=None,
        description="A listening socket that the parent has left open, in place of host and port.",
    )
    certfile: File | None = Field(
        default=None, description="TLS: certificate and chain, PEM; read again when it changes."
    )
    keyfile: File | None = Field(default=None, description="TLS: its key, where it is not in the same file.")
    client_ca: File | None = Field(
        default=None, description="TLS: authorities; a client needs a certificate of theirs."
    )
    token_keys: Annotated[str | None, BeforeValidator(_is_no_secret), Hidden()] = Field(
        default=None,
        description="Let in only who has a token of one of these keys, blanks or commas between them.",
    )
    token_keys_file: File | None = Field(
        default=None,
        description="Keys of the tokens that callers need, from a file that is read at the start.",
    )
    token_carrier: str | None = Field(
        default=None,
        description="Where the token is: header:NAME (authorization if not said), query:NAME or path.",
    )
    token_one_time: bool | None = Field(
        default=None, description="Each token lets one call in; takes a single I/O process."
    )
    isolation: Literal["thread", "process"] | None = Field(
        default=None, description="Where the sockets run: process, one of their own, or thread."
    )
    drain_s: Annotated[Seconds | None, Of("timeouts")] = Field(
        default=None, description="Seconds for every call to come to its end, at SIGTERM or Ctrl-C."
    )
    workers: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="Application processes that share the calls; at SIGHUP new ones take these over.",
    )
    io_processes: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="With workers: processes that share the port, where one core is not enough."
    )
    reload: bool | None = Field(
        default=None,
        description="For development: new workers whenever a file below the current folder changes.",
    )
    worker_memory_mb: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="With workers: one that takes more memory (MiB) is replaced."
    )
    calls: Literal["move", "stay"] | None = Field(
        default=None, description="With workers: whether calls move to the one that replaces theirs, or stay."
    )
    move_s: Seconds | None = Field(
        default=None, description="With workers: seconds until a call moves although something is being said."
    )
    max_message_bytes: Annotated[MaxMessageBytes | None, Of("limits")] = Field(
        default=None, description="A longer message ends the call, with 1009."
    )
    max_text_bytes: Annotated[MaxTextBytes | None, Of("limits")] = Field(
        default=None, description="The same of a text, with or without audio in it."
    )
    max_connections: Annotated[CountOrZero | None, _LIMIT] = Field(
        default=None, description="Calls at a time; more get 503. 0 for any number, as for the next ones."
    )
    max_connections_per_address: Annotated[CountOrZero | None, _LIMIT] = Field(
        default=None, description="The same, of one address."
    )
    max_connections_per_session: Annotated[CountOrZero | None, _LIMIT] = Field(
        default=None, description="The same, of one session."
    )
    upgrades_per_second_per_address: Annotated[NumberOrZero | None, _LIMIT] = Field(
        default=None, description="New calls of one address a second; more get 429."
    )
    max_loop_lag_ms: Annotated[NumberOrZero | None, _LIMIT] = Field(
        default=None, description="While the I/O loop is that late, new calls get 503."
    )
    max_memory_mb: Annotated[NumberOrZero | None, _LIMIT] = Field(
        default=None, description="While the process of the sockets has more memory (MiB), new calls get 503."
    )
    trusted_proxies: Annotated[str | None, BeforeValidator(_joined), Of("limits")] = Field(
        default=None,
        description="Addresses and networks of proxies whose Forwarded or X-Forwarded-For is believed, with commas.",
    )
    no_message_s: Annotated[NumberOrZero | None, _TIMEOUT] = Field(
        default=None, description="Who sends no message at all for so many seconds is closed with 1008."
    )
    idle_s: Annotated[NumberOrZero | None, _TIMEOUT] = Field(
        default=None, description="Who sends none for so long is closed with 1001; nothing comes while muted."
    )
    session_s: Annotated[NumberOrZero | None, _TIMEOUT] = Field(
        default=None, description="A call is closed with 1001 after so many seconds."
    )
    lead_ms: Annotated[LeadMs | None, Of("playback")] = Field(
        default=None, description="How far ahead of real time audio is sent, in milliseconds."
    )
    max_delay_ms: Annotated[MaxDelayMs | None, Of("playback")] = Field(
        default=None, description="Plain writes that would be heard later lose their oldest audio."
    )
    health: Annotated[Literal["port", "admin", "off"] | None, Of("monitoring")] = Field(
        default=None, description="Where /healthz and /readyz are: port, admin or off."
    )
    metrics: Annotated[Literal["port", "admin", "off"] | None, Of("monitoring")] = Field(
        default=None, description="Where /metrics is: port, admin or off."
    )
    admin_host: Annotated[Host | None, Of("monitoring")] = Field(
        default=None, description="What the admin port listens on; it has no authentication."
    )
    admin_port: Annotated[Port | None, Of("monitoring")] = Field(
        default=None, description="A port for health, figures, and the calls that top shows."
    )
    traces: Annotated[bool | None, Of("monitoring")] = Field(
        default=None, description="Whether calls become spans of OpenTelemetry."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] | None = (
        Field(default=None, description="What is logged: debug, info, warning or error.")
    )
    log_format: Literal["text", "json"] | None = Field(
        default=None, description="How: text, or json, an object a line."
    )


def gather(flags: Mapping[str, Any], file: Path | None) -> tuple[ServeSettings, dict[str, str]]:
    """Put together what was told.

    Args:
        flags: By the names of the fields; None for what was not given.
        file: A TOML file; None for none.

    Returns:
        The settings, and by name where each value is from.

    Raises:
        UsageError: A value is wrong, or the file cannot be read; the text says which, and where it stands.
    """
    sources = {
        f"{file}": _read(file) if file is not None else {},
        "environment": _from_environment(),
        FLAG: {name: value for name, value in flags.items() if value is not None},
    }
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, told in sources.items():
        for name, value in told.items():
            origins[name] = f"{PREFIX}{name.upper()}" if origin == "environment" else origin
            try:
                values[name] = getattr(ServeSettings(**{name: value}), name)
            except UsageError as error:
                place = place_of(name, origins[name])
                raise UsageError(f"{place}: {str(error).removeprefix('ServeSettings: ')}") from error
    return ServeSettings(**values), origins


def place_of(name: str, origin: str) -> str:
    """Where a setting stands, for an error: the flag, the variable, or the file."""
    return f"--{name.replace('_', '-')}" if origin == FLAG else origin


def rank_of(origin: str) -> int:
    """Of two that tell, the one with the lower rank goes before the other."""
    return 0 if origin == FLAG else 1 if origin.startswith(PREFIX) else 2


def of_group(name: str) -> Of | None:
    """What stands beside a setting of a group of the configuration; None where it is of none."""
    return next((of for of in ServeSettings.model_fields[name].metadata if isinstance(of, Of)), None)


def group_of(name: str) -> str | None:
    """The group of the configuration that has a setting, see `Of`; None for none."""
    of = of_group(name)
    return None if of is None else of.group


def is_hidden(name: str) -> bool:
    """Whether a setting is never shown, and no flag."""
    return any(isinstance(each, Hidden) for each in ServeSettings.model_fields[name].metadata)


def unknown_variables(environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Say of each variable that looks like a setting and is none what was meant, a line each."""
    from difflib import get_close_matches  # noqa: PLC0415 - only who mistypes needs it

    known = [name.upper() for name in ServeSettings.model_fields]
    for variable in sorted(environment):
        written = variable.upper()  # as the settings are found
        name = written.removeprefix(PREFIX)
        if name == written or name in known or written in OTHERS or OF_KUBERNETES.fullmatch(written):
            continue
        close = get_close_matches(name, known, n=1)
        hint = (
            f"did you mean {PREFIX}{close[0]}?"
            if close
            else "audio-connector serve --help names those there are"
        )
        yield f"{variable} is set, and no setting has that name; {hint}"


def _from_environment() -> dict[str, Any]:
    from pydantic_settings import (  # noqa: PLC0415 - a tenth of a second that the other commands need not wait
        BaseSettings,
        EnvSettingsSource,
        SettingsConfigDict,
    )

    class Environment(BaseSettings, ServeSettings):
        # Empty is what a template yields for a value that it does not have.
        model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore")

    return EnvSettingsSource(Environment)()


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--config {str(file)!r} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {str(file)!r} is not TOML: {error}") from error
