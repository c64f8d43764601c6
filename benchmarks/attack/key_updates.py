# SPDX-License-Identifier: Apache-2.0
"""A TLS client that asks for new keys again and again, which no library of a client does (RFC 8446 4.6.3, 5, 7)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import ssl
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

KEY_UPDATE = b"\x18\x00\x00\x01\x00\x16"
"""The message, and the type of what the record has."""

RECORD_BYTES = 5 + len(KEY_UPDATE) + 16


def expanded(secret: bytes, label: bytes, size: int, hash_: str) -> bytes:
    """HKDF-Expand-Label, without a context."""
    info = size.to_bytes(2, "big") + bytes([len(label) + 6]) + b"tls13 " + label + b"\0"
    return hmac.digest(secret, info + b"\x01", hash_)[:size]  # never longer than one hash


class KeyUpdates:
    """Records behind ``sent`` ones, each under the keys that the one before has made."""

    def __init__(self, secret: bytes, cipher: str, sent: int) -> None:
        self._hash = "sha384" if cipher.endswith("384") else "sha256"
        self._algorithm = ChaCha20Poly1305 if "CHACHA20" in cipher else AESGCM
        self._key_bytes = 16 if "AES_128" in cipher else 32
        self._secret, self._sent = secret, sent

    def take(self, count: int) -> bytes:
        """The next ones."""
        head = b"\x17\x03\x03" + (RECORD_BYTES - 5).to_bytes(2, "big")
        records = []
        for _ in range(count):
            secret, hash_ = self._secret, self._hash
            key = expanded(secret, b"key", self._key_bytes, hash_)
            nonce = int.from_bytes(expanded(secret, b"iv", 12, hash_), "big") ^ self._sent
            records.append(head + self._algorithm(key).encrypt(nonce.to_bytes(12, "big"), KEY_UPDATE, head))
            self._secret = expanded(secret, b"traffic upd", hashlib.new(hash_).digest_size, hash_)
            self._sent = 0
        return b"".join(records)


class TlsPeer:
    """Speaks TLS 1.3 over a socket that does not block."""

    def __init__(self, context: ssl.SSLContext, key_log: Path) -> None:
        context.keylog_filename = str(key_log)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._key_log = key_log
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.sock = socket.socket()
        self.sock.setblocking(False)

    async def dial(self, port: int) -> None:
        """Connect, and do the handshake."""
        await asyncio.get_running_loop().sock_connect(self.sock, ("127.0.0.1", port))
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                self._incoming.write(await asyncio.get_running_loop().sock_recv(self.sock, 65536))
            else:
                await self._flush()
                return

    async def send(self, data: bytes) -> None:
        """Send it as one record."""
        self._tls.write(data)
        await self._flush()

    def stream(self, sent: int) -> KeyUpdates:
        """Those behind ``sent`` records."""
        secrets = dict(line.split(" ", 1) for line in self._key_log.read_text().splitlines() if " " in line)
        secret = bytes.fromhex(secrets["CLIENT_TRAFFIC_SECRET_0"].split()[1])
        return KeyUpdates(secret, (self._tls.cipher() or ("",))[0], sent)

    async def _flush(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, self._outgoing.read())
