# SPDX-License-Identifier: Apache-2.0
"""Tokens on the command line: whose key, how the commands that dial carry one, and ``audio-connector token``."""

from __future__ import annotations

import json as json_module
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from audio_connector.errors import UsageError
from audio_connector.wire.carrier import Carrier
from audio_connector.wire.network import with_target

if TYPE_CHECKING:
    from audio_connector.auth import SignedToken
    from audio_connector.cli.settings import ServeSettings
    from audio_connector.simulator.config import Credentials

LIFETIME_S: Final = 120.0
"""Of a token that is minted here: the router dials within seconds."""

CARRIER: Final = "header:authorization"

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,30}")
"""What is longer may be a key, and is not shown."""

TokenKey = Annotated[
    str | None,
    typer.Option(
        "--token-key",
        metavar="KEY|VARIABLE",
        help="Let oneself in by a token of this key, or of the one in a variable.",
        show_default=False,
    ),
]
TokenCarrier = Annotated[
    str, typer.Option("--token-carrier", help="Where it is: header:NAME, query:NAME or path.")
]

EXAMPLES = """[bold]Examples[/bold]

audio-connector token --new-key

audio-connector token --token-key BOT_KEY

audio-connector token --token-key BOT_KEY --session 2_MX4… --url wss://bot.example.org --claim customer=Ann

[bold]Exit status[/bold]: 0, or 2 for bad input."""


def keys_in(text: str) -> list[str]:
    """Read keys as a variable, or a line of a file, has them: apart by blanks, commas or ends of lines."""
    return re.split(r"[\s,]+", text.strip(" \t\r\n,"))


def key_of(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Read the value of ``--token-key``: a variable's name, whose first key is taken, or a key.

    Raises:
        UsageError: A name of no variable.
    """
    if text in environment:
        return keys_in(environment[text])[0]
    if _VARIABLE.fullmatch(text):
        raise UsageError(f"--token-key {text}: there is no such variable, and it is too short for a key")
    return text


def credentials(key: str | None, carrier: str, *, lifetime_s: float = LIFETIME_S) -> Credentials | None:
    """Make what the options ``--token-key`` and ``--token-carrier`` say; None without a key.

    Raises:
        UsageError: The key, or the carrier, is none.
    """
    if key is None:
        return None
    from audio_connector.auth import mint_token  # noqa: PLC0415 - an extra that only who says it needs
    from audio_connector.simulator.config import Credentials  # noqa: PLC0415 - `serve` needs no simulator

    mint = partial(mint_token, key_of(key), lifetime_s)
    mint()  # what is wrong with it is said here
    return Credentials(Carrier.of(carrier), mint)


def token(
    *,
    token_key: Annotated[
        str | None,
        typer.Option(
            "--token-key",
            metavar="KEY|VARIABLE",
            help="The key that signs it, or the name of a variable that has it.",
            show_default=False,
        ),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option("--session", help="The only session whose calls it lets in.", show_default=False),
    ] = None,
    lifetime: Annotated[
        float, typer.Option("--lifetime", min=1, max=86_400, help="Seconds until it expires.")
    ] = LIFETIME_S,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim", metavar="K=V", help="What else it says; may be repeated.", show_default=False
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url", help="Show the REST call's websocket object, with this address.", show_default=False
        ),
    ] = None,
    token_carrier: TokenCarrier = CARRIER,
    new_key: Annotated[bool, typer.Option("--new-key", help="Make a key, and show that.")] = False,
) -> int:
    """Mint a token with which a router may dial, for the REST call that starts a connector."""
    if new_key:
        print(secrets.token_urlsafe(32))
        return 0
    if token_key is None:
        raise UsageError("which key? Expected --token-key, or --new-key for one")
    from audio_connector.auth import mint_token  # noqa: PLC0415 - an extra

    claims: dict[str, Any] = claims_in(claim or ())
    minted = mint_token(key_of(token_key), lifetime, session, **claims)
    carrier = Carrier.of(token_carrier)
    if url is None:
        print(minted)
        return 0
    from audio_connector.simulator.config import check_url  # noqa: PLC0415 - likewise

    check_url(url)
    target = carrier.target_of(minted, url)
    shown: dict[str, object] = {"uri": url if target is None else with_target(url, target)}
    if headers := carrier.headers_of(minted):
        shown["headers"] = headers
    print(json_module.dumps(shown, indent=2))
    return 0


def signed_token(told: ServeSettings) -> SignedToken | None:
    """Make what the settings of ``serve`` say of tokens; None where they name no key.

    Raises:
        UsageError: A key or a carrier is none, or the file cannot be read.
    """
    text = told.token_keys
    if told.token_keys_file is not None:
        try:
            text = told.token_keys_file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise UsageError(f"token_keys_file {str(told.token_keys_file)!r} cannot be read: {why}") from None
    if text is None:
        if told.token_carrier is not None or told.token_one_time is not None:
            raise UsageError(
                "got token_carrier or token_one_time without a key; expected token_keys_file as well"
            )
        return None
    from audio_connector.auth import SignedToken  # noqa: PLC0415 - an extra

    return SignedToken(
        keys_in(text), carrier=told.token_carrier or CARRIER, one_time=told.token_one_time or False
    )


def claims_in(texts: Sequence[str]) -> dict[str, str]:
    """Read the values of ``--claim``.

    Raises:
        UsageError: One has no equal sign or no name.
    """
    claims: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals) or name in ("key", "lifetime_s", "session_id"):
            raise UsageError(f"--claim {text!r}: expected NAME=VALUE, for a session --session")
        claims[name] = value
    return claims
