"""Parallel programs: what several processes do at the same time, and whether a model explains what they saw.

::

    programs    a program: steps before, branches side by side, faults meanwhile; and how Hypothesis makes one
    actors      what a worker can do in each domain, through the public objects
    worker      a process that does it, and tells what it does
    nursery     the process that workers are forked from
    crew        runs a program on a real server
    faults      what goes wrong meanwhile
    history     what was seen
    court       tries each program several times, and judges its histories by ``linearize``
    trace       a history as a time line

A history records of each operation when it was called, when it returned and what it said; ``linearize`` looks for an
order in which the model says the same. Leases and times to live are so long that time plays no part; a lease that ends
is an operation.
"""
