"""What a process does: by chance, something of everything."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import traceback
from pathlib import Path

from property_tests.stress.alarm import Alarm
from property_tests.stress.client import Client
from property_tests.stress.config import DEADLINE, Job
from property_tests.stress.counting import Counting
from property_tests.stress.storing import Storing
from redis_state import Engine


def run(job: Job, seed: str) -> None:
    """Work until there is a file ``stop``; leave a file ``failed`` when that goes wrong."""
    logging.getLogger("redis_state").setLevel(logging.ERROR)  # that leases are lost is no news here
    folder = Path(job.folder)
    stacks = (folder / f"stacks {os.getpid()}").open("w")
    faulthandler.register(signal.SIGUSR1, stacks)
    try:
        with Engine.from_url(job.url, prefix=job.prefix, deadline=DEADLINE) as engine, Alarm(seed) as alarm:
            client = Client(engine, job, seed, alarm)
            turns = {**Counting(client).turns, **Storing(client).turns}
            while not (folder / "stop").exists():
                client.chance.choices(list(turns), list(turns.values()))[0]()
            client.hold_nothing()
    except BaseException:
        (folder / f"failed {os.getpid()}").write_text(traceback.format_exc(limit=-6))
