"""A tus 1.0 server whose processes share every upload: run as many as you like, and kill any of them.

    REDIS_URL=redis://localhost python -m examples.tus_server --port 8001 --dir /srv/uploads
    REDIS_URL=redis://localhost python -m examples.tus_server --port 8002 --dir /srv/uploads

Which bytes have arrived is known to Redis, through ``redis_state.aio.UploadState``; the bytes themselves lie in
``--dir``, which all processes see. A client may send each part of a file to another process.

It knows no users: it must stand behind something that authenticates them, and speaks TLS. The id of an upload is 128
random bits, and a client that knows it may write, read and delete that upload. Limits are per client address;
``app.owner_of`` is the place to say who a client is. Stored files stay in ``done`` until they are deleted, or taken
from there.

::

    files     where the bytes of an upload lie
    body      how they arrive: in blocks, bounded in size and time
    core      what becomes of an upload: parts, completion, death
    headers   the protocol: what requests say
    app       the protocol: methods, and what is answered
"""
