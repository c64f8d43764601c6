# SPDX-License-Identifier: Apache-2.0
"""The facade: public names in a literal ``__all__``, documented, and the same objects under vendor paths."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import audio_connector

SOURCE = Path(__file__).parents[2] / "src" / "audio_connector" / "__init__.py"

# The vendor's documentation, path by path.
VENDOR_PATHS = {
    "audio_connector_sdk.vonage_video": {"Video"},
    "audio_connector_sdk.vonage_video.models": {
        "AudioConnectorConnectionData",
        "AudioConnectorServerConfig",
        "AudioConnectorServerHandle",
    },
    "audio_connector_sdk.vonage_video.models.audio_connector": {
        "AudioConnectorConnectionData",
        "AudioConnectorServerConfig",
        "AudioConnectorServerHandle",
    },
    "audio_connector_sdk.vonage_video.errors": {
        "AudioConnectorConfigError",
        "AudioConnectorStartServerError",
        "VideoError",
    },
    "audio_connector_sdk.vonage_video.core": {"AudioConnectorConnection", "AudioConnectorServer"},
    "audio_connector_sdk.vonage_video.core.audio_connector_connection": {"AudioConnectorConnection"},
    "audio_connector_sdk.vonage_video.core.audio_connector_server": {"AudioConnectorServer"},
    "audio_connector_sdk.vonage_video.video": {"Video"},
}


def facade_faults(source: str) -> list[str]:
    """What a facade's source has besides its docstring, its imports and a literal, complete ``__all__``."""
    faults, imported, exported = [], [], None
    for index, node in enumerate(ast.parse(source).body):
        if isinstance(node, ast.ImportFrom):
            if node.module != "__future__":
                imported += [alias.asname or alias.name for alias in node.names]
        elif _assigned_name(node) == "__all__":
            exported = _literal_names(node)
        elif _assigned_name(node) == "__version__":
            imported.append("__version__")
        elif not (index == 0 and _is_text(node)):
            faults.append(f"line {node.lineno}: code in the facade")
    if exported is None:
        return [*faults, "no __all__ that is a literal list of names"]
    faults += [f"{name}: imported, but not in __all__" for name in imported if name not in exported]
    faults += [f"{name}: in __all__, but not imported" for name in exported if name not in imported]
    faults += [f"{name}: twice in __all__" for name in sorted(set(exported)) if exported.count(name) > 1]
    return faults


def _assigned_name(node: ast.stmt) -> str | None:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def _literal_names(node: ast.stmt) -> list[str] | None:
    value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
    if not isinstance(value, (ast.List, ast.Tuple)):
        return None
    names = [item.value if isinstance(item, ast.Constant) else None for item in value.elts]
    return [name for name in names if isinstance(name, str)] if all(names) else None


def _is_text(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def docstring_fault(name: str, value: type | Callable[..., object]) -> str | None:
    """Why a public class or function counts as undocumented; None where it is documented."""
    text = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
    if not text:
        return f"{name}: no docstring"
    # dataclasses write "Name(field: type)" where there is none.
    return f"{name}: only the generated docstring" if text.startswith(f"{name}(") else None


def alias_faults(name: str, source: str) -> list[str]:
    """Whether a constant or alias, which has no ``__doc__``, is followed by its text where it is defined."""
    body = ast.parse(source).body
    for index, node in enumerate(body):
        if _assigned_name(node) == name:
            is_documented = any(_is_text(after) for after in body[index + 1 : index + 2])
            return [] if is_documented else [f"{name}: no text below its definition"]
    return [f"{name}: not defined where the facade takes it from"]


def origin_of(name: str, source: str) -> str:
    """The module that a facade's source imports a name from."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
            return node.module or ""
    raise LookupError(name)


def test_the_facade_is_imports_and_a_literal_list_of_names() -> None:
    assert facade_faults(SOURCE.read_text(encoding="utf-8")) == []


def test_every_public_name_is_there() -> None:
    assert [name for name in audio_connector.__all__ if not hasattr(audio_connector, name)] == []


def test_every_public_name_is_documented() -> None:
    facade = SOURCE.read_text(encoding="utf-8")
    faults = []
    for name in audio_connector.__all__:
        value = getattr(audio_connector, name)
        if isinstance(value, (type, types.FunctionType)):
            faults.append(docstring_fault(name, value))
        elif name != "__version__":
            module = importlib.import_module(origin_of(name, facade))
            faults += alias_faults(name, inspect.getsource(module))
    assert [fault for fault in faults if fault] == []


@pytest.mark.parametrize("path", sorted(VENDOR_PATHS))
def test_a_vendor_path_gives_the_same_objects(path: str) -> None:
    module = importlib.import_module(path)
    assert set(module.__all__) == VENDOR_PATHS[path]
    for name in module.__all__:
        assert getattr(module, name) is getattr(audio_connector, name)


# What follows shows, on bad input, that the checks above can fail.


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('from x import A\n__all__ = ["A"]\nprint(A)', "line 3: code in the facade"),
        ('import os\n__all__ = ["os"]', "line 1: code in the facade"),
        ('if True:\n    from x import A\n__all__ = ["A"]', "line 1: code in the facade"),
        ('def f(): ...\n__all__ = ["f"]', "line 1: code in the facade"),
        ('from x import A, B\n__all__ = ["A"]', "B: imported, but not in __all__"),
        ('from x import A\n__all__ = ["A", "B"]', "B: in __all__, but not imported"),
        ('from x import A\n__all__ = ["A", "A"]', "A: twice in __all__"),
        ("from x import A\n__all__ = list(globals())", "no __all__ that is a literal list of names"),
        ('from x import A\nN = "A"\n__all__ = [N]', "no __all__ that is a literal list of names"),
        ("from x import A", "no __all__ that is a literal list of names"),
    ],
)
def test_a_bad_facade_is_found(source: str, fault: str) -> None:
    assert fault in facade_faults(source)


def test_a_good_facade_passes() -> None:
    source = '"""Doc."""\nfrom __future__ import annotations\nfrom x import A as B\n'
    assert facade_faults(source + '__all__ = ["B", "__version__"]\n__version__ = "1"\n') == []


def test_a_missing_docstring_is_found() -> None:
    class Bare:
        pass

    class Heir(dict[str, int]):
        pass

    class Generated:
        """Generated(x: int)."""

    def function() -> None:
        pass

    assert docstring_fault("Bare", Bare) == "Bare: no docstring"
    assert docstring_fault("Heir", Heir) == "Heir: no docstring"
    assert docstring_fault("Generated", Generated) == "Generated: only the generated docstring"
    assert docstring_fault("function", function) == "function: no docstring"
    assert docstring_fault("docstring_fault", docstring_fault) is None


def test_an_undocumented_constant_is_found() -> None:
    assert alias_faults("RATES", "RATES = (1,)\nx = 2") == ["RATES: no text below its definition"]
    assert alias_faults("RATES", "x = 2") == ["RATES: not defined where the facade takes it from"]
    assert alias_faults("RATES", 'RATES: tuple[int, ...] = (1,)\n"""The rates in Hz."""') == []
    assert origin_of("B", "from x import A as B") == "x"
    with pytest.raises(LookupError):
        origin_of("A", "from x import B")


def test_the_import_is_cheap() -> None:
    """It leaves numpy to those who resample or write arrays, and sockets to a server that starts: 0.05 s or more.

    Nor does it build a schema of pydantic's: the first one looks for plugins in everything that is installed.
    """
    heavy = {
        "numpy",
        "jwt",
        "soxr",
        "soundfile",
        "matplotlib",
        "picows",
        "aiofastnet",
        "uvloop",
        "importlib.metadata",
    }
    code = f"import sys, audio_connector; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
