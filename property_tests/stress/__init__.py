"""Everything at once, and everything going wrong: ``python -m property_tests.stress --help``.

::

    world                       names, sizes and times
    diary, actor                what a process does, it writes down
    counting, storing, work     what it does, by chance: all domains
    crew                        the processes: stopped, killed, replaced
    faults                      what goes wrong, and when: decided by the seed alone
    check                       what must hold when all is quiet

It goes in rounds, each on a server and keys of its own. In most of them the server crashes and comes back with all
its data, and everything must be exact; in every fourth it loses its data, and what is promised even then must hold.
"""
