# SPDX-License-Identifier: Apache-2.0
"""Real proxies on the loopback, with the files of deploy/: only addresses, certificates and folders are others."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from support.deployed import DEPLOY
from support.processes import children_of, is_running
from support.serving import DEADLINE_S

PROXIES = ("nginx", "haproxy", "caddy")

Swaps = Mapping[str, str]


def tool(name: str, comes_from: str) -> str:
    """The path of a program; without it a test is skipped, and fails in CI."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", str(Path(sys.executable).parent)])
    if (found := shutil.which(name, path=places)) is not None:
        return found
    lacking = f"there is no {name} on this machine; {comes_from}"
    if os.environ.get("CI"):
        pytest.fail(lacking)
    pytest.skip(lacking)


def swapped(text: str, swaps: Swaps) -> str:
    """The text with other words in their places, each of which has to be there."""
    for old, new in swaps.items():
        assert old in text, f"{old!r} is not in the file any more"
        text = text.replace(old, new)
    return text


@dataclass(frozen=True)
class Certificate:
    """Of localhost, in files below a folder, and a client that trusts it."""

    chain: Path
    key: Path
    both: Path
    client: ssl.SSLContext

    @classmethod
    def make(cls, folder: Path) -> Certificate:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        made = cls(
            folder / "chain.pem", folder / "key.pem", folder / "both.pem", ssl.create_default_context()
        )
        made.chain.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        made.key.write_bytes(issued.private_key_pem.bytes())
        made.both.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        authority.configure_trust(made.client)
        return made


@dataclass
class Proxy:
    """One that runs."""

    name: str
    folder: Path
    port: int
    client: ssl.SSLContext
    process: subprocess.Popen[bytes]
    command: Sequence[str] = field(default=())

    @property
    def address(self) -> str:
        return f"wss://localhost:{self.port}"

    @property
    def log(self) -> str:
        """All that it and its children have said."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def carriers(self) -> list[int]:
        """The processes that carry calls."""
        return children_of(self.process.pid) or [self.process.pid]

    def reload(self) -> None:
        """Have it read its files again, as its unit does; returns once it has."""
        before = self.carriers()
        if self.name == "caddy":
            subprocess.run([*self.command, "reload", "--force", *caddy_files(self.folder)], check=True)
            return
        self.process.send_signal(signal.SIGHUP if self.name == "nginx" else signal.SIGUSR2)
        wait_until(lambda: set(self.carriers()) - set(before), f"new processes of {self.name}")
        wait_until(lambda: is_dialled(self.port), f"{self.name} listening again")


def caddy_files(folder: Path) -> list[str]:
    """Where its configuration is, and its control socket."""
    return [
        "--config",
        str(folder / "Caddyfile"),
        "--adapter",
        "caddyfile",
        "--address",
        f"unix/{folder}/admin",
    ]


def nginx_swaps(folder: Path, port: int, certificate: Certificate, servers: Sequence[str]) -> Swaps:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    lines = "".join(f"\n    {kind}_temp_path {folder}/{kind};" for kind in kinds)
    return {
        "user www-data;": "user root;" if os.getuid() == 0 else "",
        "/run/nginx.pid": f"{folder}/nginx.pid",
        "/var/log/nginx": str(folder),
        "worker_processes auto;": "worker_processes 2;",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "listen [::]:443 ssl;": "",
        "/etc/nginx/bot/chain.pem": str(certificate.chain),
        "/etc/nginx/bot/key.pem": str(certificate.key),
        "server 127.0.0.1:8765;": "".join(f"server {each}; " for each in servers),
        "server_tokens off;": f"server_tokens off;{lines}",
    }


def haproxy_swaps(folder: Path, port: int, certificate: Certificate, servers: Sequence[str]) -> Swaps:
    return {
        "log /dev/log local0": "log stdout format raw local0",
        "user haproxy": "",
        "group haproxy": "",
        "maxconn 20000": "maxconn 500",
        "bind :443": f"bind 127.0.0.1:{port}",
        "/etc/haproxy/bot.pem": str(certificate.both),
        "server one 127.0.0.1:8765": "\n    ".join(f"server s{at} {each}" for at, each in enumerate(servers)),
    }


def caddy_swaps(folder: Path, port: int, certificate: Certificate, servers: Sequence[str]) -> Swaps:
    own = f"{{\n\tadmin unix/{folder}/admin\n\tauto_https off\n\tpersist_config off\n"
    return {
        "{\n\tservers {": f"{own}\tservers {{",
        "{$DOMAIN} {": f"https://localhost:{port} {{\n\tbind 127.0.0.1\n"
        f"\ttls {certificate.chain} {certificate.key}",
        "reverse_proxy bot:8765 {": f"reverse_proxy {' '.join(servers)} {{",
    }


FILES: Mapping[str, tuple[str, Callable[[Path, int, Certificate, Sequence[str]], Swaps]]] = {
    "nginx": ("nginx/nginx.conf", nginx_swaps),
    "haproxy": ("haproxy/haproxy.cfg", haproxy_swaps),
    "caddy": ("Caddyfile", caddy_swaps),
}


def command_of(name: str, folder: Path) -> list[str]:
    """How it is started with the file that `write` has made, in the foreground."""
    if name == "nginx":
        path = tool("nginx", "Debian: apt install nginx")
        return [path, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    if name == "haproxy":
        return [tool("haproxy", "Debian: apt install haproxy"), "-W", "-f", str(folder / "haproxy.cfg")]
    caddy = tool("caddy", "pip install 'audio-connector[deploy]'")
    return [caddy, "run", *caddy_files(folder)[:-2]]


def write(
    name: str, folder: Path, port: int, servers: Sequence[str], certificate: Certificate, swaps: Swaps
) -> None:
    """Put the file of deploy/ there, with ``swaps``, and for this machine."""
    file, swaps_of = FILES[name]
    places = [urlsplit(each).netloc for each in servers]
    text = swapped((DEPLOY / file).read_text(), swaps)
    (folder / Path(file).name).write_text(swapped(text, swaps_of(folder, port, certificate, places)))


@contextmanager
def proxying(name: str, folder: Path, *servers: str, swaps: Swaps | None = None) -> Iterator[Proxy]:
    """Run it in front of servers, and end it with all that it has started.

    Args:
        name: One of `PROXIES`.
        folder: Of its own, and there already.
        servers: Their addresses, as they print them.
        swaps: Further words of the file, and what stands in their places.
    """
    certificate = Certificate.make(folder)
    command = command_of(name, folder)
    for _ in range(3):  # another program may take the port in between
        port = free_port()
        write(name, folder, port, servers, certificate, swaps or {})
        with (folder / "output.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)},
            )
        proxy = Proxy(name, folder, port, certificate.client, process, command[:1])
        try:
            wait_until(functools.partial(_has_begun, proxy), f"{name} listening")
            if process.poll() is None:
                yield proxy
                return
        finally:
            _end(proxy)
    pytest.fail(f"{name} does not start: {proxy.log}")


def _end(proxy: Proxy) -> None:
    everybody = [proxy.process.pid, *children_of(proxy.process.pid)]
    for pid in filter(is_running, everybody):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    proxy.process.wait()
    wait_until(lambda: not any(map(is_running, everybody)), f"the end of {proxy.name}")


def _has_begun(proxy: Proxy) -> bool:
    return proxy.process.poll() is not None or is_dialled(proxy.port)


def free_port() -> int:
    """One that was free a moment ago: these programs take none by 0 that they would tell.

    Of those that nobody is given who asks for any or dials, so that nobody but another one of these may take it.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as they do
            sock.bind(("127.0.0.1", port))
            return port


def is_dialled(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), DEADLINE_S).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], object], what: str) -> None:
    """`until`, where no event loop runs."""
    give_up_at = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > give_up_at:
            pytest.fail(f"not within {DEADLINE_S:g} s: {what}")
        time.sleep(0.01)
