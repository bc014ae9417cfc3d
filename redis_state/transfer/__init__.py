"""Uploads and downloads, as operations: what has arrived, what is missing, and what an owner may still begin.

::

    records    the records of transfers, all in one slot, and the books in which they are counted
    sessions   uploads: opened, aborted, found dead
    chunks     uploads: what arrives, as numbered chunks or one range behind the other
    gaps       uploads: what is missing
    assembly   uploads: a claim on one that is whole
    legacy     uploads: written whole, as old code does
    downloads  what was sent to somebody, and how fast

A quota is counted over all transfers of an owner at one instant, so they all lie in one hash slot,
however many partitions the engine has.
"""
