"""Property tests, in Jepsen's words: a generator makes programs, clients run them while a nemesis breaks things, and a
checker compares their history with a model.

::

    models       each domain in a few lines of plain Python
    machines     one client in any order, with faults and time, on a server and on a model
    parallel     several clients at the same time, and a checker for linearizability
    schedules    steps of several operations in every order
    stress       all domains and all faults at once, for minutes
    mutants      wrong variants of the code, each caught by a test
    servers      kinds of servers, and how hard to try

Imported from everywhere as ``from property_tests.x import y``. README.md says what each is for.
"""
