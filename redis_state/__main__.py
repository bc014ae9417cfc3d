"""``python -m redis_state`` is the command ``redis-state``."""

from __future__ import annotations

import sys

from redis_state.cli import main

sys.exit(main())
