# SPDX-License-Identifier: Apache-2.0
"""An application by its name, ``module:name``: imported from the current folder, or from what is installed."""

from __future__ import annotations

import difflib
import pkgutil
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from audio_connector.errors import UsageError
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.run import importing_an_application
from audio_connector.validation.places import describe

APPLICATION: Final = re.compile(r"(?P<module>[^\W\d][\w.]*):(?P<name>[^\W\d][\w.]*)")


def load_application(argument: str) -> Any:  # noqa: ANN401 - whatever it is, who serves it checks it
    """Import a module of the current folder, or an installed one, and return what ``module:name`` names in it.

    Raises:
        UsageError: That is none, or cannot be imported; the text says why and where.
    """
    found = APPLICATION.fullmatch(argument)
    if found is None:
        raise UsageError(f"{argument!r} is no application; expected MODULE:NAME, such as bot:on_connect")
    module, name = found["module"], found["name"]
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        # pkgutil, because the name is the user's; imports of our own are written out, so that the layers can be read.
        with importing_an_application():
            imported = pkgutil.resolve_name(f"{module}:")
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            hint = (
                f"; did you mean {module[:-3]}:{name}?"
                if module == error.name and module.endswith(".py")
                else ""
            )
            raise UsageError(
                f"there is no module {error.name!r} in {folder}, nor is one installed{hint}"
            ) from error
        raise UsageError(f"{module} cannot be imported: {describe(error)}") from error
    except (Exception, SystemExit) as error:  # whatever the module does at import is the user's to mend
        raise UsageError(f"{module} cannot be imported: {describe(error)}") from error
    try:
        return pkgutil.resolve_name(f"{module}:{name}")
    except AttributeError as error:
        names = [other for other, value in vars(imported).items() if _may_be_served(other, value, module)]
        close = difflib.get_close_matches(name, names, n=1)
        hint = (
            f"did you mean {close[0]!r}?"
            if close
            else f"it has {', '.join(names[:12]) or 'nothing to serve'}"
        )
        raise UsageError(f"{module} has no {name!r}; {hint}") from error


def _may_be_served(name: str, value: object, module: str) -> bool:
    is_its_own = callable(value) and getattr(value, "__module__", None) == module
    return not name.startswith("_") and (
        is_its_own or isinstance(value, AudioConnectorServerConfig | Mapping)
    )
