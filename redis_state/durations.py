"""Durations: checked where an application gives them, and sent as whole milliseconds. Pure."""

from __future__ import annotations

HOUR = 3600.0  # seconds
DAY = 86400.0
TEN_YEARS = 10 * 366 * DAY

_IN_WORDS = {HOUR: "an hour", DAY: "a day", TEN_YEARS: "ten years"}


def seconds(what: str, value: float, *, least: float | None = None, most: float = TEN_YEARS, why: str = "") -> float:
    """Return ``value``, a duration in seconds that ``what`` names, if it is from ``least`` to ``most``.

    Without ``least`` it must be above 0. ``TypeError`` for what is no number, ``ValueError`` for one out of range; the
    text names both bounds, and ``why`` stands behind them.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} is a number of seconds, not {type(value).__name__}")
    if not (0 < value <= most if least is None else least <= value <= most):  # NaN is in no range
        longest = _IN_WORDS.get(most) or f"{most:g}"
        bounds = f"above 0 and at most {longest}" if least is None else f"from {least:g} to {longest}"
        raise ValueError(f"{what}={value!r}: seconds, {bounds}{why}")
    return value


def ttl_ms(ttl: float, most: float = TEN_YEARS) -> int:
    """Return a time to live in whole milliseconds; raises like ``seconds``."""
    return to_ms(seconds("ttl", ttl, most=most, why=" (nothing lives forever)" if most == TEN_YEARS else ""))


def to_ms(duration: float) -> int:
    """Return seconds in whole milliseconds, at least 1: the server refuses 0, or takes it for no bound."""
    return max(1, int(duration * 1000))
