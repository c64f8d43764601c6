# SPDX-License-Identifier: Apache-2.0
"""Audio Connector servers for Vonage Video: voice in, voice out, and it sounds right."""

from audio_connector._version import __version__
from audio_connector.audio.format import AudioFormat
from audio_connector.call.settings import Intake, Limits, Playback, Timeouts
from audio_connector.errors import (
    AudioConnectorConfigError,
    AudioConnectorStartServerError,
    AudioDataError,
    AudioFileError,
    AudioFormatError,
    ConnectionClosed,
    DeadlineError,
    DialError,
    HandlerError,
    IntakeOverflow,
    LimitError,
    MessageError,
    PlaybackOverflow,
    ProtocolError,
    RouterStalled,
    SpeechInterrupted,
    UsageError,
    VideoError,
)
from audio_connector.intake.log_fields import ConnectionLogFilter
from audio_connector.playback.speech import Flushed, Interrupted, Played
from audio_connector.recording.outcome import Recorded
from audio_connector.server.background import Background
from audio_connector.server.config import (
    AudioConnectorConnectionData,
    AudioConnectorServerConfig,
    FlightRecorder,
    Monitoring,
    Tls,
)
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.recorder import Recorder
from audio_connector.server.registry import Connections
from audio_connector.server.run import run
from audio_connector.server.server import AudioConnectorServer, AudioConnectorServerHandle, Video
from audio_connector.server.session_events import (
    ActiveSpeaker,
    SessionAudio,
    SessionEvent,
    StreamActive,
    StreamJoined,
    StreamLeft,
    StreamSpeaks,
)
from audio_connector.server.session_readers import SessionReader
from audio_connector.server.session_stream import SessionStream
from audio_connector.server.sessions import LiveSession, Sessions
from audio_connector.server.speech import Speech
from audio_connector.server.statistics import ConnectionStatistics, PlaybackState
from audio_connector.wire.audio_transport import AudioTransport
from audio_connector.wire.messages import (
    Cleared,
    Connected,
    Disconnected,
    Dtmf,
    Event,
    MediaUpdate,
    Notified,
    UnknownEvent,
)
from audio_connector.wire.transport import Headers

__all__ = [
    "ActiveSpeaker",
    "AudioConnectorConfigError",
    "AudioConnectorConnection",
    "AudioConnectorConnectionData",
    "AudioConnectorServer",
    "AudioConnectorServerConfig",
    "AudioConnectorServerHandle",
    "AudioConnectorStartServerError",
    "AudioDataError",
    "AudioFileError",
    "AudioFormat",
    "AudioFormatError",
    "AudioTransport",
    "Background",
    "Cleared",
    "Connected",
    "ConnectionClosed",
    "ConnectionLogFilter",
    "ConnectionStatistics",
    "Connections",
    "DeadlineError",
    "DialError",
    "Disconnected",
    "Dtmf",
    "Event",
    "FlightRecorder",
    "Flushed",
    "HandlerError",
    "Headers",
    "Intake",
    "IntakeOverflow",
    "Interrupted",
    "LimitError",
    "Limits",
    "LiveSession",
    "MediaUpdate",
    "MessageError",
    "Monitoring",
    "Notified",
    "Playback",
    "PlaybackOverflow",
    "PlaybackState",
    "Played",
    "ProtocolError",
    "Recorded",
    "Recorder",
    "RouterStalled",
    "SessionAudio",
    "SessionEvent",
    "SessionReader",
    "SessionStream",
    "Sessions",
    "Speech",
    "SpeechInterrupted",
    "StreamActive",
    "StreamJoined",
    "StreamLeft",
    "StreamSpeaks",
    "Timeouts",
    "Tls",
    "UnknownEvent",
    "UsageError",
    "Video",
    "VideoError",
    "__version__",
    "run",
]
