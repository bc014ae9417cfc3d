"""What a worker can do in each domain, through the public objects.

An actor has a method for each operation of its model, which returns what the model is to judge.
"""

from parallel.actors.base import Actor
from parallel.actors.claim import Claiming
from parallel.actors.lock import Locking
from parallel.actors.mapping import Records
from parallel.actors.progress import Counting
from parallel.actors.text import Caching
from parallel.actors.upload import Uploading

__all__ = ["Actor", "Caching", "Claiming", "Counting", "Locking", "Records", "Uploading"]
