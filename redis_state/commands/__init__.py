"""Subcommands of ``redis-state`` that look at a server, each a module with ``arguments`` and ``main``.

::

    frame     options that all have: --url, --prefix, --json; the engine that they give
    status    what the server and its namespaces hold
"""
