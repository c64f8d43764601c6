# SPDX-License-Identifier: Apache-2.0
"""Values that users write down, as keyword arguments or in a file: what is wrong with them, in one line each.

A model that inherits from `Values` says which field, which value and what is allowed, and raises an error of this
library. `ValidationError` is its cause and never what a user has to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from audio_connector.errors import AudioConnectorConfigError, Fault, UsageError

SHOWN_CHARS = 80
"""How much of a wrong value an error shows."""

TOLD = 20
"""Mistakes that one error tells of. Looking for what was meant takes a millisecond each; nobody reads a thousand."""

MORE = "there are more mistakes, from here on"

ValuesT = TypeVar("ValuesT", bound="Values")


class Values(BaseModel):
    """A model whose errors name field, value and what is allowed.

    Attributes:
        error_class: What is raised; a model that is no configuration names another error.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, defer_build=True)

    error_class: ClassVar[type[UsageError]] = AudioConnectorConfigError

    def __init__(self, **values: object) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise config_error(type(self), error) from error

    @classmethod
    def from_values(cls: type[ValuesT], values: object) -> ValuesT:
        """Take such a model, or a mapping of its fields.

        Raises:
            UsageError: It is neither, or a value is wrong; the model's ``error_class``.
        """
        name = cls.__name__
        if not isinstance(values, cls) and not hasattr(values, "keys"):
            raise cls.error_class(
                f"got {type(values).__name__} {values!r}; expected {'an' if name[0] in 'AEIO' else 'a'} {name} or a "
                "mapping of its fields"
            )
        # Also of a model: its fields may have been assigned since.
        fields = dict(values)  # type: ignore[call-overload]  # a model, or anything with keys(), is a mapping to dict
        if not all(isinstance(field, str) for field in fields):
            raise cls.error_class(f"got the field names {list(fields)!r}; expected texts")
        return cls(**fields)


class FrozenValues(Values):
    """The same, unchangeable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def told_in(model: BaseModel) -> dict[str, object]:
    """The fields that whoever made a model has given, without those that have their default."""
    return {name: value for name, value in model if name in model.model_fields_set}


def config_error(model: type[Values], error: ValidationError) -> UsageError:
    """Say which field, which value, and what is allowed, a line each.

    Args:
        model: What the values were meant for.
        error: What pydantic says of them.

    Returns:
        The model's ``error_class``, to be raised.
    """
    entries = error.errors(include_url=False)
    told, rest = entries[:TOLD], entries[TOLD:]
    lines = [_line(model, entry) for entry in told] + [MORE] * bool(rest)
    raised = model.error_class(f"{model.__name__}: " + "; ".join(lines))
    faults = [fault for entry in told for fault in _faults(model, entry)]
    untold = [fault.loc for fault in faults[TOLD:]] + [entry["loc"] for entry in rest]
    raised.faults = (*faults[:TOLD], *(Fault(loc, MORE) for loc in untold[:1]))
    return raised


def _faults(model: type[Values], entry: ErrorDetails) -> Iterator[Fault]:
    """What is wrong, with the whole way to it, through models of ours inside this one."""
    inner = entry.get("ctx", {}).get("error")
    if isinstance(inner, UsageError) and inner.faults:
        for fault in inner.faults:
            yield Fault((*entry["loc"], *fault.loc), fault.text)
    else:
        yield Fault(entry["loc"], _line(model, {**entry, "loc": entry["loc"][-1:]}))


def _line(model: type[Values], entry: ErrorDetails) -> str:
    name = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "extra_forbidden":
        from difflib import get_close_matches  # noqa: PLC0415 - only who mistypes needs it

        close = get_close_matches(name, model.model_fields, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(model.model_fields) or 'none'}"
        return f"{name} is not a field; {hint}"
    if entry["type"] == "missing":
        return f"{name} is missing"
    message = entry["msg"].removeprefix("Value error, ")
    if message.startswith(f"{name}="):
        return message  # it says itself what was got
    nested = _cause_of(entry)
    if nested is not None and message.startswith(f"{nested.title}: "):
        says = message.removeprefix(f"{nested.title}: ")
        return f"{name}.{says}" if nested.errors(include_url=False)[0]["loc"] else f"{name}: {says}"
    if not name:
        return message  # of the values together, not of one
    return f"{name}={_shorten(entry['input'])}: {message[0].lower()}{message[1:]}"


def _cause_of(entry: ErrorDetails) -> ValidationError | None:
    """What was wrong with a model of ours inside this one; its text is a line already."""
    error = entry.get("ctx", {}).get("error")
    cause = error.__cause__ if isinstance(error, UsageError) else None
    return cause if isinstance(cause, ValidationError) else None


def _shorten(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write a number of thousands of digits
        return f"<{type(value).__name__}>"
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."
