"""The clock that time-outs and leases go by on our side: one that never jumps. Pure.

Tests of applications stop their clocks, and what they use for that (freezegun) replaces ``time.monotonic`` in every
module that has it: a wait of ours would never end. It leaves this one alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable

monotonic: Callable[[], float] = time.monotonic.__call__  # type: ignore[operator]
