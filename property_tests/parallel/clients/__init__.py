"""What a worker can do in each domain, through the public objects.

A client has a method for each operation of its model, which returns what the model is to judge.
"""

from property_tests.parallel.clients.base import Client
from property_tests.parallel.clients.claim import ClaimClient
from property_tests.parallel.clients.lock import LockClient
from property_tests.parallel.clients.mapping import MappingClient
from property_tests.parallel.clients.progress import ProgressClient
from property_tests.parallel.clients.text import TextClient
from property_tests.parallel.clients.upload import UploadClient

__all__ = ["ClaimClient", "Client", "LockClient", "MappingClient", "ProgressClient", "TextClient", "UploadClient"]
