"""Kinds of servers that these tests run on, and how hard they try: ``REDIS_STATE_STRESS``."""

from __future__ import annotations

import os

from tests.support.servers import available, newest

STRESS = float(os.environ.get("REDIS_STATE_STRESS", "1"))  # times as many examples
KINDS = [*available()]
NEWEST = newest()
