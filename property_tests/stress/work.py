"""What a process does: by chance, something of everything."""

from __future__ import annotations

import logging
import os
import traceback
from pathlib import Path

from property_tests.stress.actor import Actor
from property_tests.stress.counting import Counting
from property_tests.stress.storing import Storing
from property_tests.stress.world import DEADLINE, Job
from redis_state import Engine


def run(job: Job, seed: str) -> None:
    """Work until there is a file ``stop``; leave a file ``failed`` when that goes wrong."""
    logging.getLogger("redis_state").setLevel(logging.ERROR)  # that leases are lost is no news here
    folder = Path(job.folder)
    try:
        with Engine.from_url(job.url, prefix=job.prefix, deadline=DEADLINE) as engine:
            actor = Actor(engine, folder, seed)
            turns = {**Counting(actor).turns, **Storing(actor).turns}
            while not (folder / "stop").exists():
                actor.chance.choices(list(turns), list(turns.values()))[0]()
    except BaseException:
        (folder / f"failed {os.getpid()}").write_text(traceback.format_exc(limit=-6))
