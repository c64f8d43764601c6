# SPDX-License-Identifier: Apache-2.0
"""The least that an application consists of, as the folders of ``examples`` do: it says again what it heard."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "__init__.py": '''# SPDX-License-Identifier: Apache-2.0
"""Says again what it heard,
and "nothing" else.

More.
"""
''',
    "__main__.py": '''# SPDX-License-Identifier: Apache-2.0
"""Starts it: ``python -m parrot``."""

from audio_connector import run
from parrot.app import on_connect

if __name__ == "__main__":
    run(on_connect, host="127.0.0.1", port=0)
''',
    "app.py": '''# SPDX-License-Identifier: Apache-2.0
"""The application."""

from audio_connector import AudioConnectorConnection


async def on_connect(client: AudioConnectorConnection) -> None:
    """Say again what is heard."""
    async for frame in client.audio():
        await client.send_audio_buffer(frame)
''',
    "test_parrot.py": '''# SPDX-License-Identifier: Apache-2.0
"""It is heard."""

from parrot.app import on_connect

from audio_connector.testing import Audio, in_virtual_time, serve


@in_virtual_time
async def test_it_says_again_what_it_heard() -> None:
    async with serve(on_connect) as server, server.call() as call:
        await call.say("sample:he-was-not")
        assert (await call.reply()).matches(Audio.of("sample:he-was-not"))
''',
    "settings.toml": "# SPDX-License-Identifier: Apache-2.0\nmax_calls = 3\n",
    "page.html": "<!doctype html><title>Parrot</title>\n",
    "scenario.yaml": "name: Demo\nparticipants: [{ name: Ann, say: 'sample:he-was-not' }]\n",
    "README.md": "# Parrot\n",
    "page.png": "no picture",
    "requirements.txt": "# beside the library\nsome-package>=2 # a reason\n\n",
    "__pycache__/app.cpython-311.pyc": "",
    ".cache/x.py": "",
}


def write_application(shelf: Path, name: str = "parrot") -> Path:
    """Write it into a folder of applications; return its own."""
    folder = shelf / name
    for way, text in FILES.items():
        path = folder / way.replace("parrot", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("parrot", name), encoding="utf-8")
    return folder
