"""Uploads and downloads, as operations: what has arrived, what is missing, and what an owner may still begin.

::

    records    the records of transfers: all in one slot, with fields that only scripts may write
    fields     what applications give, checked
    quota      what an owner has open, and what room that leaves
    sessions   uploads: opened, aborted, found dead
    chunks     uploads: what arrives, as numbered chunks or one range behind the other
    missing    uploads: what has not arrived
    assembly   uploads: a claim on one that is whole
    downloads  the ranges that were sent, and how fast

A quota is counted over all transfers of an owner at one instant, so they all lie in one hash slot,
however many partitions the engine has.
"""
