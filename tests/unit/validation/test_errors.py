# SPDX-License-Identifier: Apache-2.0
"""Errors that cross to another process, as those of a pool do."""

from __future__ import annotations

import inspect
import pickle

import pytest

from audio_connector import errors
from audio_connector.auth import Rejected
from audio_connector.errors import ConnectionClosed, VideoError

OTHERS = [
    each
    for each in vars(errors).values()
    if inspect.isclass(each) and issubclass(each, VideoError) and each is not ConnectionClosed
]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionClosed("the connection is closed", code=1000, reason="bye"),
        Rejected(403, "unknown"),
        *(each("what was got") for each in OTHERS),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_in_another_process(error: VideoError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
