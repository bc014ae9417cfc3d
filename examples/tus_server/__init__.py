"""A tus 1.0 server whose processes share every upload: run as many as you like, and kill any of them.

    REDIS_URL=redis://localhost python -m examples.tus_server --port 8001 --dir /srv/uploads
    REDIS_URL=redis://localhost python -m examples.tus_server --port 8002 --dir /srv/uploads

Which bytes have arrived is known to Redis, through ``redis_state.aio.UploadState``; the bytes themselves lie in
``--dir``, which all processes see. A client may send each part of a file to another process.

::

    files   where the bytes of an upload lie
    core    what becomes of an upload: parts, completion, death
    app     the protocol: headers, status codes
"""
