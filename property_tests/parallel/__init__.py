"""Parallel programs: what several processes do at the same time, and whether a model explains what they saw.

::

    generator      a program: steps before, branches side by side, faults meanwhile; and how Hypothesis makes one
    clients        what a worker can do in each domain, through the public objects
    worker         a process that runs a client, and tells what it does
    forkserver     the process that workers are forked from
    runner         runs a program on a real server
    nemesis        what goes wrong meanwhile
    history        what was seen
    checker        runs each program several times, and checks its histories by ``linearize``
    linearize      search for an order in which the model says the same
    trace          a history as a time line

A history records of each operation when it was called, when it returned and what it said. Leases and times to live are
so long that time plays no part; a lease that ends is an operation.
"""
