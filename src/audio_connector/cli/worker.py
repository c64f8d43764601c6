# SPDX-License-Identifier: Apache-2.0
"""A worker of ``audio-connector serve --workers``: loads the application as `serve` does."""

from __future__ import annotations

import json

from audio_connector import AudioConnectorServerConfig
from audio_connector.cli.serve import configuration_for, configure_logging
from audio_connector.cli.settings import ServeSettings
from audio_connector.cluster.worker import work


def load(app: str, settings: str) -> AudioConnectorServerConfig:
    """Load it, with what `serve` was told."""
    told = ServeSettings(**json.loads(settings))
    configure_logging(told)
    return configuration_for(app, told)


def main() -> None:
    """Be a worker."""
    work(load)
