# SPDX-License-Identifier: Apache-2.0
"""TLS from files: what is wrong is said by file and fault, and what changes is used for who dials next."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import trustme

from audio_connector.errors import AudioConnectorStartServerError
from audio_connector.wire.tls_files import DAY_S, LOOK_AGAIN_S, TlsFiles

NOW = datetime(2031, 5, 17, 12, 30, tzinfo=timezone.utc)

KEY = trustme.CA().issue_cert("localhost").private_key_pem.bytes()


class Stage:
    """Files of a certificate, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.certfile, self.keyfile = folder / "chain.pem", folder / "key.pem"
        self.client_ca = folder / "clients.pem"
        self.now = 100.0
        self.date = NOW.timestamp()
        self.issue()

    def issue(self, *, begins: datetime | None = None, ends: datetime | None = None) -> trustme.CA:
        authority = trustme.CA()
        leaf = authority.issue_cert("localhost", not_before=begins, not_after=ends)
        self.certfile.write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
        self.keyfile.write_bytes(leaf.private_key_pem.bytes())
        return authority

    def files(self, **changes: Path | None) -> TlsFiles:
        paths = {"certfile": self.certfile, "keyfile": self.keyfile, **changes}
        return TlsFiles(**paths, clock=lambda: self.now, date=lambda: self.date)  # type: ignore[arg-type]

    def days(self, files: TlsFiles, days: float) -> None:
        """They pass, and somebody dials."""
        self.now += days * DAY_S
        self.date += days * DAY_S
        files.context()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """In memory, both ways, until both are content."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    other = server.wrap_bio(to_server, to_client, server_side=True)
    left = [one, other]
    for _ in range(10):
        for end in list(left):
            try:
                end.do_handshake()
                left.remove(end)
            except ssl.SSLWantReadError:
                pass
        if not left:
            other.write(b"x")
            assert one.read(1) == b"x"
            return
    pytest.fail("no handshake")


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return client


def test_the_certificate_is_that_of_the_files(stage: Stage) -> None:
    authority = stage.issue()
    files = stage.files()
    handshake(files.context(), trusting(authority))
    assert files.context() is files.context()
    assert files.context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_the_key_may_be_in_the_same_file(stage: Stage) -> None:
    authority = stage.issue()
    stage.certfile.write_bytes(stage.keyfile.read_bytes() + stage.certfile.read_bytes())
    handshake(stage.files(keyfile=None).context(), trusting(authority))


def test_what_changes_is_used_for_who_dials_next(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    files = stage.files()
    before = files.context()
    authority = stage.issue()
    assert files.context() is before, "it was looked at just now"
    stage.now += LOOK_AGAIN_S
    with caplog.at_level(logging.INFO):
        handshake(files.context(), trusting(authority))
        stage.now += LOOK_AGAIN_S
        assert files.context() is files.context()
    assert len(caplog.records) == 1


def test_what_cannot_be_used_is_said_once_and_changes_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    files = stage.files()
    before, key = files.context(), stage.keyfile.read_bytes()
    authority = stage.issue()
    after = stage.keyfile.read_bytes()
    stage.keyfile.write_bytes(key)  # the old one is still there
    for _ in range(5):
        stage.now += LOOK_AGAIN_S
        assert files.context() is before
    stage.keyfile.unlink()
    for _ in range(5):
        stage.now += LOOK_AGAIN_S
        assert files.context() is before
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "is not the key of the certificate" in told[0]
    assert "cannot be read" in told[1]
    stage.keyfile.write_bytes(after)
    stage.now += LOOK_AGAIN_S
    handshake(files.context(), trusting(authority))


def test_what_becomes_readable_later_is_used(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:  # as after chmod, which root would not notice
        raise PermissionError(13, "Permission denied")

    files = stage.files()
    authority = stage.issue()
    with monkeypatch.context() as locked:
        locked.setattr(Path, "read_bytes", refuse)
        stage.now += LOOK_AGAIN_S
        files.context()
    stage.now += LOOK_AGAIN_S
    handshake(files.context(), trusting(authority))


def test_clients_need_a_certificate_of_the_authority(stage: Stage) -> None:
    authority, clients = stage.issue(), trustme.CA()
    clients.cert_pem.write_to_path(str(stage.client_ca))
    context = stage.files(client_ca=stage.client_ca).context()
    client = trusting(authority)
    with pytest.raises(ssl.SSLError):
        handshake(context, client)
    clients.issue_cert("caller").configure_cert(client)
    handshake(context, client)


def test_a_certificate_that_ends_is_told_in_time_and_again_when_it_has(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    ends = NOW + timedelta(days=20)
    stage.issue(begins=NOW - timedelta(days=70), ends=ends)
    files = stage.files()
    for _ in range(21 * 4):
        stage.days(files, 0.25)
    early, late = (record.getMessage() for record in caplog.records)
    assert early == (
        f"a certificate in {stage.certfile} expires on 2031-06-06 at 12:30 UTC, and no router takes it from then "
        "on. Renew it. Files that change are used for new calls, without a restart"
    )
    assert "has expired on 2031-06-06 at 12:30 UTC, and no router takes it. Renew it" in late
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert files.expires_at == ends.timestamp()


def test_one_that_has_ended_is_told_when_it_is_loaded_and_when_it_is_replaced_by_another_such(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    begins = NOW - timedelta(days=90)
    stage.issue(begins=begins, ends=NOW - timedelta(days=1))
    files = stage.files()
    assert not caplog.records, "whoever only checks the files says nothing"
    stage.days(files, 0)
    stage.issue(begins=begins, ends=NOW + timedelta(days=1))
    assert files.expires_at == (NOW - timedelta(days=1)).timestamp(), "it was looked at just now"
    stage.now += LOOK_AGAIN_S
    assert files.expires_at == (NOW + timedelta(days=1)).timestamp(), "it is looked at although nobody dials"
    stage.issue(begins=begins, ends=NOW + timedelta(days=80))
    stage.days(files, 0.1)
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(" on ")[0].partition("chain.pem ")[2] for text in told] == [
        "has expired",
        "expires",
    ]


def test_one_that_lasts_for_days_is_told_when_a_third_is_left(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.issue(begins=NOW, ends=NOW + timedelta(days=6))
    files = stage.files()
    stage.days(files, 3.9)
    assert not caplog.records
    stage.days(files, 0.2)
    assert len(caplog.records) == 1


def test_one_that_is_not_valid_yet_is_told(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.issue(begins=NOW + timedelta(hours=2), ends=NOW + timedelta(days=90))
    files = stage.files()
    stage.days(files, 0)
    stage.days(files, 0.1)
    (record,) = caplog.records
    assert "is valid from 2031-05-17 at 14:30 UTC on, and no router takes it before" in record.getMessage()


def missing(stage: Stage) -> None:
    stage.keyfile.unlink()


def no_certificate(stage: Stage) -> None:
    stage.certfile.write_bytes(KEY)


def no_key(stage: Stage) -> None:
    stage.keyfile.write_bytes(stage.certfile.read_bytes())


def other_key(stage: Stage) -> None:
    stage.keyfile.write_bytes(KEY)


def garbled(stage: Stage) -> None:
    stage.certfile.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def encrypted(stage: Stage) -> None:
    stage.keyfile.write_bytes(
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )


def folder(stage: Stage) -> None:
    stage.certfile.unlink()
    stage.certfile.mkdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (missing, ("tls.keyfile", "key.pem", "cannot be read: No such file or directory")),
        (no_certificate, ("tls.certfile", "chain.pem", "has no certificate in PEM form")),
        (no_key, ("tls.keyfile", "key.pem", "has no private key in PEM form")),
        (other_key, ("tls.keyfile", "key.pem", "is not the key of the certificate in", "chain.pem")),
        (garbled, ("tls.certfile", "chain.pem", "cannot be used")),
        (encrypted, ("tls.keyfile", "key.pem", "behind a passphrase")),
        (folder, ("tls.certfile", "chain.pem", "cannot be read: Is a directory")),
    ],
)
def test_what_is_wrong_is_said_by_file_and_fault(
    stage: Stage, spoil: Callable[[Stage], None], words: tuple[str, ...]
) -> None:
    spoil(stage)
    with pytest.raises(AudioConnectorStartServerError) as raised:
        stage.files()
    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_a_file_of_authorities_without_any_is_an_error(stage: Stage) -> None:
    stage.client_ca.write_text("none")
    with pytest.raises(AudioConnectorStartServerError, match=r"tls.client_ca .*has no certificate"):
        stage.files(client_ca=stage.client_ca)
