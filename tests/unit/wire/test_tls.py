# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ssl

import pytest
import trustme

from audio_connector.errors import AudioConnectorStartServerError
from audio_connector.wire.tls import check_context


def test_a_context_with_a_certificate_is_fine() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    check_context(context)


def test_also_one_that_wants_to_see_the_router_s() -> None:
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    check_context(context)


def test_one_without_a_certificate_would_fail_every_call() -> None:
    with pytest.raises(AudioConnectorStartServerError, match="no certificate"):
        check_context(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_one_for_clients_is_refused() -> None:
    with pytest.raises(AudioConnectorStartServerError, match="for clients"):
        check_context(ssl.create_default_context())
