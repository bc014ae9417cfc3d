"""Words as the bytes to send. Pure.

hiredis is given text and bytes only. Of a number it makes text by a call of Python, in which a signal handler may run;
when that raises, hiredis goes on with a null pointer, and the interpreter dies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from hiredis import pack_command

Word: TypeAlias = str | bytes | int | float


def pack(words: Sequence[Word]) -> bytes:
    """Return a command as the bytes to send. ``ValueError`` for text that UTF-8 cannot hold."""
    return packed(tuple(texts(words)))


def packed(words: tuple[str | bytes, ...]) -> bytes:
    """Return a command whose words are text and bytes already."""
    try:
        return pack_command(words)  # type: ignore[arg-type, no-any-return]
    except UnicodeEncodeError as error:
        raise ValueError(f"{error.object!r} is not text that UTF-8 can hold: {error.reason}") from None


def texts(words: Sequence[Word]) -> list[str | bytes]:
    """Return words with the numbers among them as text."""
    return [
        word if (kind := type(word)) is str else repr(word) if kind is int else word if kind is bytes else _text(word)  # type: ignore[misc]
        for word in words
    ]


def _text(word: object) -> str | bytes:
    """Return a word that is not exactly text, bytes or int as what it stands for, however it shows itself."""
    if isinstance(word, str):
        return str.__str__(word)
    if isinstance(word, float):
        return float.__repr__(word)
    if isinstance(word, int) and not isinstance(word, bool):
        return int.__repr__(word)
    if isinstance(word, bytes):
        return bytes(word)
    raise TypeError(f"a word of a command is text, bytes or a number, not {type(word).__name__}: {word!r}")
