# SPDX-License-Identifier: Apache-2.0
"""Where to listen, as users write it."""

from __future__ import annotations

from typing import Any

import pytest

from audio_connector.errors import AudioConnectorConfigError
from audio_connector.validation import Values
from audio_connector.validation.fields import Host, Port


class Address(Values):
    host: Host = ""
    port: Port = 0


@pytest.mark.parametrize(("host", "taken"), [("", ""), (" localhost ", "localhost"), ("::", "::")])
def test_a_host_is_a_name_an_address_or_every_address(host: str, taken: str) -> None:
    assert Address(host=host).host == taken


@pytest.mark.parametrize(
    "wrong", [{"host": " "}, {"host": None}, {"port": True}, {"port": 65536}, {"port": -1}]
)
def test_a_mistake_is_refused(wrong: dict[str, Any]) -> None:
    [name] = wrong
    with pytest.raises(AudioConnectorConfigError, match=f"^Address: {name}="):
        Address(**wrong)


def test_a_mapping_is_taken_and_a_model_is_checked_again() -> None:
    address = Address.from_values({"port": 5})
    assert address == Address(port=5)
    address.port = -1
    with pytest.raises(AudioConnectorConfigError, match="port=-1"):
        Address.from_values(address)
    with pytest.raises(AudioConnectorConfigError, match="got int 5; expected an Address or a mapping"):
        Address.from_values(5)
    with pytest.raises(AudioConnectorConfigError, match="field names"):
        Address.from_values({1: 2})
