"""Operations, scripts, and the engines that carry them to a server and back exactly once.

::

    op, operation        what to send and what the reply means, as values; a script bound to its meanings
    pages                lists that are read page by page, inside a plan
    script, registry     a Lua file as a value; all of them by name
    lua_linker           modules of Lua folded into a script
    binding, given       an engine and what is made for its keys; arguments that are engines
    default, default_async, client    the engine that is used when none is given; redis-py's client for its server
    engine, engine_async    the engines, blocking and asyncio: the only code that sends
    base, batch          what both engines share; several operations at once
    delivery             how calls are carried to their outcomes; both engines follow it
    replicated           the same, with replicas that confirm what was written
    inflight, packing    a call in flight: its identity, its copies, its bytes
    resolve              what became of a call whose outcome is unknown
    faults, foreign      what an error means for a call; errors that the application raised in it
    connection, connection_async    connections; ``wire`` is the blocking socket
    handshake, lookup, certificates    connecting
    server_check, server_selector    a server's settings that endanger data; which server is ours
    embedded             a private server; ``_place``, ``_binary`` and ``_supervisor`` belong to it

``docs/architecture.md`` follows one call through them.
"""
