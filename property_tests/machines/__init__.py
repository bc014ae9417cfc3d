"""Sequential machines: Hypothesis does anything, in any order, to a real server and to a model, and compares.

::

    machine            what all machines share: server, faults, time
    invariants         what holds of all keys after each step
    server_snapshot    what a server holds at one instant, and how time passes in it
    test_*_model       one machine a domain
"""
