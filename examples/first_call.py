# SPDX-License-Identifier: Apache-2.0
"""Connects a session of the Vonage Video API to a bot: the other half of a first real call.

Needs ``pip install vonage``, and an application of the Vonage dashboard with the capability Video: its id in
``VONAGE_APPLICATION_ID``, the path of its private key in ``VONAGE_PRIVATE_KEY``. It runs beside the bot and not in
it, because the REST call does not return before the router has reached the bot.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from vonage import Auth, Vonage
from vonage_video import (
    AudioConnectorOptions,
    AudioConnectorWebSocket,
    MediaMode,
    SessionOptions,
    TokenOptions,
)

PLAYGROUND = "https://tools.vonage.com/video/playground"


def log_in() -> Vonage:
    """A client of the REST API, by the application's key."""
    application_id = os.environ.get("VONAGE_APPLICATION_ID", "")
    key_path = os.environ.get("VONAGE_PRIVATE_KEY", "private.key")
    if not application_id:
        sys.exit(
            "VONAGE_APPLICATION_ID is not set; expected the id that the dashboard shows for the application"
        )
    try:
        private_key = Path(key_path).read_text(encoding="ascii")
    except OSError as error:
        sys.exit(
            f"{key_path}: {error.strerror}; VONAGE_PRIVATE_KEY is the path of the application's private key"
        )
    return Vonage(Auth(application_id=application_id, private_key=private_key))


def create_session(vonage: Vonage) -> str:
    """A session whose media go through the router: the Audio Connector takes no other one."""
    session_id: str = vonage.video.create_session(SessionOptions(media_mode=MediaMode.ROUTED)).session_id
    return session_id


def connect(vonage: Vonage, session_id: str, url: str, *, rate_hz: int) -> str:
    """Let the router dial the bot; returns the id of its connection, by which it is hung up."""
    token = vonage.video.generate_client_token(TokenOptions(session_id=session_id, role="publisher"))
    options = AudioConnectorOptions(
        session_id=session_id,
        token=token.decode(),
        websocket=AudioConnectorWebSocket(
            uri=url,
            audio_rate=rate_hz,  # 8000 or 16000
            bidirectional=True,  # or the session hears nothing of the bot
            headers={"caller": "first-call"},  # in client.headers
        ),
    )
    connection_id: str = vonage.video.start_audio_connector(options).connection_id
    return connection_id


def main() -> None:
    """Create a session, wait for somebody in it, and connect it until Enter is pressed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the bot's public address: wss://…")
    parser.add_argument("--session", help="an existing session's id, instead of a new one")
    parser.add_argument("--rate", type=int, default=16000, metavar="HZ", help="default: %(default)s")
    arguments = parser.parse_args()
    vonage = log_in()
    session_id = arguments.session or create_session(vonage)
    print(f"session: {session_id}")
    print(f"Join it, with a microphone: {PLAYGROUND}, 'Join existing session'.")
    input("Press Enter when you are in. ")
    connection_id = connect(vonage, session_id, arguments.url, rate_hz=arguments.rate)
    print(f"connected: {connection_id}")
    input("Speak. Press Enter to hang up. ")
    vonage.video.disconnect_client(session_id, connection_id)


if __name__ == "__main__":
    main()
