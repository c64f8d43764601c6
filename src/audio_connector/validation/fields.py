# SPDX-License-Identifier: Apache-2.0
"""Kinds of fields that more than one model may have."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints


def _is_no_blank(host: object) -> object:
    # Not the same as "": a variable that holds a blank by mistake must not open the server to every network.
    if isinstance(host, str) and host and not host.strip():
        raise ValueError("a blank; expected a name or an address, or '' for every address")
    return host


def _is_no_bool(port: object) -> object:
    if isinstance(port, bool):
        raise ValueError("expected a whole number from 0 to 65535")
    return port


Host = Annotated[str, BeforeValidator(_is_no_blank), StringConstraints(strip_whitespace=True, max_length=255)]
"""What to listen on: a name, an address, or "" for every address."""

Port = Annotated[int, BeforeValidator(_is_no_bool), Field(ge=0, le=65535)]
"""A TCP port; 0 for a free one."""
