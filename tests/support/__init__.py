"""What tests stand on: servers, processes, networks and clocks.

Imported from everywhere as ``from tests.support.x import y``.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # holds ``tests``, ``docs`` and ``examples``
