# SPDX-License-Identifier: Apache-2.0
"""What `serve` is told, by whom, and what of it holds; it serves in tests/integration/test_serve.py."""

from __future__ import annotations

import contextvars
import json
import logging
import os
import re
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from audio_connector import AudioConnectorServerConfig, Limits, Playback, Timeouts
from audio_connector.cli.app import run
from audio_connector.cli.serve import JsonFormatter, configure_logging, configured
from audio_connector.cli.settings import PREFIX, ServeSettings, gather, group_of, of_group, unknown_variables
from audio_connector.errors import UsageError
from audio_connector.intake.log_fields import enter, fields_of


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an application, and an environment that says nothing."""
    (tmp_path / "served_bot.py").write_text(
        "from audio_connector import AudioConnectorServerConfig\n"
        "def on_connect(client): ...\n"
        "def make():\n"
        "    return AudioConnectorServerConfig(host='127.0.0.1', port=9999, on_connect=on_connect)\n"
        "def boom():\n"
        "    print; raise ValueError('no key')\n"
        "async def later(): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ServeSettings.model_fields:
        monkeypatch.delenv(f"{PREFIX}{name.upper()}", raising=False)
    return tmp_path


def shown(text: str) -> dict[str, list[str]]:
    """The lines of --print-config: a setting's value, and where it is from."""
    lines = [re.split(r" {2,}", line) for line in map(str.rstrip, text.splitlines()[1:]) if line]
    return {name: rest for name, *rest in lines}


def test_a_flag_goes_before_the_environment_and_that_before_the_file(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = in_folder / "serve.toml"
    file.write_text('host = "10.0.0.1"\nport = 1\ndrain_s = 5\n')
    monkeypatch.setenv("AUDIO_CONNECTOR_PORT", "2")
    monkeypatch.setenv("AUDIO_CONNECTOR_LOG_LEVEL", "debug")
    settings, origins = gather({"port": 3, "log_format": None}, file)
    assert settings == ServeSettings(host="10.0.0.1", port=3, drain_s=5.0, log_level="debug")
    assert origins == {
        "host": str(file),
        "drain_s": str(file),
        "log_level": "AUDIO_CONNECTOR_LOG_LEVEL",
        "port": "flag",
    }


def test_what_holds_is_shown_with_its_origin(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIO_CONNECTOR_DRAIN_S", "7.5")
    assert run(["serve", "served_bot:make", "--host", "", "--print-config"]) == 0
    told = shown(capsys.readouterr().out)
    assert told["host"] == ["''", "flag"]
    assert told["port"] == ["9999", "the application, or the default"]
    assert told["drain_s"] == ["7.5", "AUDIO_CONNECTOR_DRAIN_S"]
    assert told["certfile"] == ["-"]
    assert set(told) == set(ServeSettings.model_fields)


def test_a_configuration_may_begin_with_a_byte_order_mark(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_folder / "serve.toml").write_text("drain_s = 7.5", encoding="utf-8-sig")
    assert run(["serve", "served_bot:make", "--config", "serve.toml", "--print-config"]) == 0
    assert shown(capsys.readouterr().out)["drain_s"][0] == "7.5"


@pytest.mark.parametrize(
    ("file", "environment", "flags", "words"),
    [
        ("port = 99999", {}, [], "serve.toml: port=99999"),
        ("prot = 1", {}, [], "prot is not a field; did you mean 'port'?"),
        ("port = ", {}, [], "--config 'serve.toml' is not TOML"),
        (None, {"PORT": "many"}, [], "AUDIO_CONNECTOR_PORT: port='many'"),
        (None, {}, ["--log-level", "loud"], "--log-level: log_level='loud'"),
        ("drain_s = -1", {}, [], "serve.toml: drain_s=-1"),
        (None, {}, ["--certfile", ""], "expected the path of a file"),
        (None, {}, ["--port", "many"], "Invalid value for '--port'"),
        (None, {}, ["--keyfile", "key.pem"], "expected --certfile as well"),
        (None, {}, ["--config", "none.toml"], "--config 'none.toml' cannot be read: No such file"),
        (None, {}, ["--isolation", "none"], "--isolation: isolation='none'"),
        ("io_processes = 2", {}, [], "got io_processes=2 without workers; expected --workers as well"),
        (None, {"CALLS": "stay"}, [], "got calls=stay without workers"),
        (None, {}, ["--workers", "2", "--isolation", "thread", "--print-config"], "workers share a process"),
        (None, {}, ["--max-message-bytes", "1"], "--max-message-bytes: max_message_bytes=1"),
        ("lead_ms = 1", {}, [], "serve.toml: lead_ms=1"),
        (
            None,
            {},
            ["--lead-ms", "500", "--max-delay-ms", "400"],
            "max_delay_ms=400: expected more than lead_ms=500",
        ),
        (
            None,
            {},
            ["--fd", "999999"],
            "--fd: descriptor 999999 is no socket (Bad file descriptor); expected the",
        ),
        (None, {"FD": "-1"}, [], "AUDIO_CONNECTOR_FD: fd='-1'"),
        ("fd = 999999", {}, [], "serve.toml: descriptor 999999 is no socket"),
        (None, {}, ["--fd", "3", "--port", "80"], "--fd: got fd and port, which are two places"),
        ("fd = 3\nhost = ''", {}, [], "serve.toml: got fd and host, which are two places"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_where(
    file: str | None,
    environment: dict[str, str],
    flags: list[str],
    words: str,
    in_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if file is not None:
        (in_folder / "serve.toml").write_text(file)
        flags = ["--config", "serve.toml", *flags]
    for name, value in environment.items():
        monkeypatch.setenv(f"AUDIO_CONNECTOR_{name}", value)
    assert run(["serve", "served_bot:on_connect", *flags]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert words in printed


@pytest.mark.parametrize("flags", [["--workers", "2"], ["--reload"], ["--reload", "--workers", "2"]])
def test_where_no_processes_can_be_started_workers_are_refused_in_a_line(
    flags: list[str], in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert run(["serve", "served_bot:on_connect", *flags]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert f"got {flags[-2 if '2' in flags else -1][2:]} where no processes can be started" in printed


@pytest.mark.parametrize("app", ["served_bot", "served_bot:nothing", "no_such_module:app", "served_bot:"])
def test_an_application_that_is_not_there(
    app: str, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", app]) == 2
    assert app.partition(":")[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("on_conect", "did you mean 'on_connect'?"),
        ("nothing", "it has on_connect, make, boom, later"),
        ("boom", "served_bot:boom failed: ValueError: no key (served_bot.py, line 6)"),
        ("later", "is a coroutine function without parameters"),
    ],
)
def test_a_factory_that_fails_is_one_line(
    app: str, words: str, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", f"served_bot:{app}"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert words in printed


def test_a_module_that_serves_itself_when_it_is_imported_is_refused(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_folder / "unguarded_bot.py").write_text(
        "import audio_connector\ndef on_connect(client): ...\naudio_connector.run(on_connect, port=0)\n"
    )
    assert run(["serve", "unguarded_bot:on_connect"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert 'put it under if __name__ == "__main__"' in printed
    assert "unguarded_bot.py, line 3" in printed


def test_a_level_of_the_log_may_be_written_as_python_has_it() -> None:
    assert ServeSettings(log_level="INFO").log_level == "info"  # type: ignore[arg-type]


def test_an_empty_variable_is_not_set(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ServeSettings.model_fields:
        monkeypatch.setenv(f"{PREFIX}{name.upper()}", "")
    assert gather({}, None) == (ServeSettings(), {})


def own_root(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """A root logger that the other tests do not have, nor does pytest."""
    root = logging.Logger("root of its own")  # noqa: LOG001
    monkeypatch.setattr(logging, "root", root)
    monkeypatch.setattr(logging, "_warnings_showwarning", None)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    return root


def test_what_is_told_of_the_log_goes_before_what_the_application_has_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = own_root(monkeypatch)
    logging.basicConfig(level="WARNING")
    [before] = root.handlers
    configure_logging(ServeSettings())
    assert (root.level, root.handlers) == (logging.WARNING, [before])
    configure_logging(ServeSettings(log_level="debug", log_format="json"))
    assert root.level == logging.DEBUG
    assert isinstance(root.handlers[0].formatter, JsonFormatter)


def test_what_is_told_replaces_what_the_configuration_says(tmp_path: Path) -> None:
    config = AudioConnectorServerConfig(
        host="127.0.0.1", port=1, timeouts=Timeouts(drain_s=3, stop_s=9), on_connect=print
    )
    same = configured(config, ServeSettings())
    assert dict(same) == {**dict(config), "isolation": "process" if os.name == "posix" else "thread"}
    told = configured(config, ServeSettings(host="::", port=0, drain_s=4, certfile=tmp_path / "chain.pem"))
    assert told.isolation == same.isolation
    assert (told.host, told.port, told.timeouts.drain_s, told.timeouts.stop_s) == ("::", 0, 4.0, 9.0)
    assert told.tls is not None
    assert told.tls.certfile == tmp_path / "chain.pem"
    assert told.on_connect is print
    with pytest.raises(UsageError):
        configured(config, ServeSettings(client_ca=tmp_path / "ca.pem"))


@pytest.mark.parametrize("group", ["timeouts", "limits", "playback"])
def test_a_setting_of_a_group_leaves_the_rest_of_it_as_it_is(group: str) -> None:
    names = [name for name in ServeSettings.model_fields if group_of(name) == group]
    names = [name for name in names if name != "trusted_proxies"]  # no number
    assert names
    for name in names:
        config = AudioConnectorServerConfig(
            host="", port=1, playback=Playback(pause_ms=50), limits=Limits(), timeouts=Timeouts(stop_s=9)
        )
        values: dict[str, Any] = {name: 5000}
        told = configured(config, ServeSettings(**values))
        held = getattr(told, group)
        assert getattr(held, name) == 5000
        assert held == getattr(config, group).model_copy(update={name: 5000})


def test_settings_of_a_group_that_need_one_another_may_come_in_any_order() -> None:
    config = AudioConnectorServerConfig(host="", port=1)
    told = configured(config, ServeSettings(metrics="admin", health="admin", admin_port=9090))
    assert (told.monitoring.metrics, told.monitoring.health, told.monitoring.admin_port) == (
        "admin",
        "admin",
        9090,
    )
    with pytest.raises(UsageError, match="without an admin_port"):
        configured(config, ServeSettings(metrics="admin"))


def test_zero_says_none_where_there_is_no_other_word_for_it() -> None:
    config = AudioConnectorServerConfig(host="", port=1, timeouts=Timeouts(session_s=60))
    zero = [name for name in ServeSettings.model_fields if (of := of_group(name)) and of.zero_is_none]
    assert set(zero) == {
        *(name for name in Limits.model_fields if not name.endswith("_bytes") and name != "trusted_proxies"),
        *("no_message_s", "idle_s", "session_s"),
    }
    values: dict[str, Any] = dict.fromkeys(zero, 0)
    told = configured(config, ServeSettings(**values))
    for name in zero:
        assert getattr(getattr(told, group_of(name) or ""), name) is None


def test_proxies_are_told_by_flag_variable_or_file(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_folder / "serve.toml").write_text('trusted_proxies = ["10.0.0.0/8", "::1"]\nmax_connections = 0')
    assert run(["serve", "served_bot:make", "--config", "serve.toml", "--print-config"]) == 0
    told = shown(capsys.readouterr().out)
    assert " ".join(told["trusted_proxies"]).split() == ["'10.0.0.0/8,", "::1'", "serve.toml"]
    assert told["max_connections"] == ["-", "serve.toml"]
    monkeypatch.setenv("AUDIO_CONNECTOR_TRUSTED_PROXIES", "10.0.0.0/8 ::1")
    settings, _ = gather({}, None)
    config = AudioConnectorServerConfig(host="", port=1)
    assert configured(config, settings).limits.trusted_proxies == ("10.0.0.0/8", "::1")


def test_an_ssl_context_of_the_application_keeps_its_sockets_in_the_thread(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_folder / "own_context_bot.py").write_text(
        "import ssl\nfrom audio_connector import AudioConnectorServerConfig\ndef make():\n"
        "    return AudioConnectorServerConfig(host='', port=1, ssl=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))\n"
    )
    assert run(["serve", "own_context_bot:make", "--print-config"]) == 0
    assert shown(capsys.readouterr().out)["isolation"][0] == "'thread'"
    assert run(["serve", "own_context_bot:make", "--isolation", "process"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "got an ssl context, which cannot cross to another process" in printed


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("AUDIO_CONNECTOR_PROT", "no setting has that name; did you mean AUDIO_CONNECTOR_PORT?"),
        ("AUDIO_CONNECTOR_NONSENSE", "serve --help names those there are"),
        ("AUDIO_CONNECTOR_CONFIG", "serve --help names those there are"),
        ("audio_connector_prot", "did you mean AUDIO_CONNECTOR_PORT?"),
    ],
)
def test_an_unknown_variable_is_one_line(name: str, words: str) -> None:
    [line] = unknown_variables({"PATH": "", "AUDIO_CONNECTOR_PORT": "1", name: "x"})
    assert line.startswith(f"{name} is set")
    assert words in line


@pytest.mark.parametrize(
    "name",
    [
        "AUDIO_CONNECTOR_COMPILE",
        "AUDIO_CONNECTOR_MODELS",
        "audio_connector_port",
        "AUDIO_CONNECTOR_SERVICE_HOST",
        "AUDIO_CONNECTOR_SERVICE_PORT_WS",
        "AUDIO_CONNECTOR_PORT_8765_TCP",
        "AUDIO_CONNECTOR_PORT_8765_TCP_ADDR",
        "MY_AUDIO_CONNECTOR_PORT",
    ],
)
def test_variables_of_others_are_not_warned_of(name: str) -> None:
    assert list(unknown_variables({name: "x"})) == []


def test_an_unknown_variable_is_told_before_it_serves(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AUDIO_CONNECTOR_PROT", "1")
    assert run(["serve", "served_bot:make", "--print-config"]) == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_the_help_names_each_setting_and_how_variables_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["serve", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in (
        "--host",
        "--port",
        "--certfile",
        "--keyfile",
        "--client-ca",
        "--drain",
        "--log-level",
        "--drain-s",
        "--isolation",
        "--fd",
        "--max-message-bytes",
        "--max-text-bytes",
        "--max-connections",
        "--upgrades-per-second-per-address",
        "--trusted-proxies",
        "--session-s",
        "--lead-ms",
        "--max-delay-ms",
    ):
        assert option in text
    assert "AUDIO_CONNECTOR_DRAIN_S is --drain-s" in text


def test_a_record_is_a_line_of_json() -> None:
    values: dict[str, Any]
    try:
        raise LookupError("two\nlines")
    except LookupError as error:
        record = logging.LogRecord(
            "audio_connector.server",
            logging.ERROR,
            "",
            0,
            "call %s\nfailed",
            ("7",),
            (LookupError, error, None),
        )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    values = json.loads(line)
    assert (values["level"], values["logger"], values["message"]) == ("error", record.name, "call 7\nfailed")
    assert "LookupError: two" in values["traceback"]
    assert values["time"].endswith("Z")
    assert "connection" not in values
    record = logging.LogRecord("x", logging.INFO, "", 0, "connection %s: %s", ("6643a5", "gone"), None)
    assert "connection" not in json.loads(JsonFormatter().format(record)), "it is not guessed from the text"
    record.__dict__.update(connection="a b", session="s1", worker=2, exc_text="Traceback: elsewhere")
    values = json.loads(JsonFormatter().format(record))
    assert (values["connection"], values["session"], values["worker"]) == ("a b", "s1", 2)
    assert values["traceback"] == "Traceback: elsewhere", "that of another process"


class Failing:
    """Cannot be deleted."""

    def __del__(self) -> None:
        raise LookupError("in a finalizer")


def test_what_python_would_print_is_a_line_of_json_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own_root(monkeypatch)
    monkeypatch.setattr(logging.getLogger("py.warnings"), "parent", logging.root)
    monkeypatch.setattr(logging.getLogger("audio_connector.serve"), "parent", logging.root)
    configure_logging(ServeSettings(log_format="json"))

    def fail() -> None:
        raise ZeroDivisionError("in a thread")

    thread = threading.Thread(target=fail, name="mine")
    thread.start()
    thread.join()
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    Failing()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("soon\nno more", DeprecationWarning, stacklevel=1)
    try:
        raise OSError("at the end")
    except OSError as error:
        sys.excepthook(OSError, error, error.__traceback__)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [f"{line['level']} {line['message']} {line.get('traceback', '')}" for line in lines]
    for text, expected in zip(
        told,
        (
            "error the thread mine has ended by an error Traceback",
            "error an error that could not be raised, in: <function Failing.__del__",
            "warning ",
            "critical the program has ended by an error Traceback",
        ),
        strict=True,
    ):
        assert text.startswith(expected), text
    assert "ZeroDivisionError: in a thread" in told[0]
    assert "soon\nno more" in told[2]


def test_what_is_logged_within_a_call_has_its_fields(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = own_root(monkeypatch)
    configure_logging(ServeSettings(log_format="json"))

    def say(text: str) -> None:
        root.warning(text)

    context = contextvars.copy_context()
    context.run(enter, fields_of("c1", "s1"))
    context.run(say, "inside")
    say("outside")
    inside, outside = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (inside["message"], inside["connection"], inside["session"]) == ("inside", "c1", "s1")
    assert outside["message"] == "outside"
    assert "connection" not in outside
