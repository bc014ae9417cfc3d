"""Everything at once, and everything going wrong: ``python -m property_tests.stress --help``.

::

    config                      names, sizes and times
    log, client                 what a process does, and the log of it
    alarm                       signals that interrupt it
    counting, storing, work     what it does, by chance: all domains
    processes                   the processes: stopped, killed, replaced
    nemesis                     what goes wrong, and when: decided by the seed alone
    checker                     what must hold when all is quiet

It goes in rounds, each on a server and keys of its own. In most of them the server crashes and comes back with all
its data, and everything must be exact; in every fourth its clock is stepped besides, by seconds to 20 minutes, forward
and back; in every fourth it loses its data. What is promised even then must hold, and no less.
"""
