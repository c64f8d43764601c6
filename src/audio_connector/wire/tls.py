# SPDX-License-Identifier: Apache-2.0
"""Checks a TLS context before anybody dials: one without a certificate would fail every call, silently."""

from __future__ import annotations

import contextlib
import ssl

from audio_connector.errors import AudioConnectorStartServerError


def check_context(context: ssl.SSLContext) -> None:
    """Do one handshake with ourselves, in memory.

    Raises:
        AudioConnectorStartServerError: The context is for clients, or has no certificate.
    """
    if context.protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise AudioConnectorStartServerError(
            "the ssl context is for clients; expected ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) with load_cert_chain()"
        )
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    client = client_context.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()  # its hello is on its way
    try:
        server.do_handshake()
    except ssl.SSLWantReadError:
        return  # the server has answered with its certificate
    except ssl.SSLError as error:
        if error.reason == "NO_SHARED_CIPHER":
            raise AudioConnectorStartServerError(
                "the ssl context has no certificate; call context.load_cert_chain(certfile, keyfile) before starting"
            ) from error
