# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging

import pytest

from audio_connector.engines.base.masking import mask


def test_a_key_is_masked_and_everything_else_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("websockets.client")
    mask("")
    for _ in range(2):
        mask("key-of-this-test")
    assert len({id(each) for each in logger.filters}) == len(logger.filters)
    with caplog.at_level(logging.DEBUG, "websockets.client"):
        logger.debug("> %s: %s", "xi-api-key", "Token key-of-this-test")
        logger.debug("> %s: %d", "Age", 7)
        logger.debug("%(a)s", {"a": 1})
        logger.debug("plain")
    assert caplog.messages == ["> xi-api-key: Token …", "> Age: 7", "1", "plain"]
