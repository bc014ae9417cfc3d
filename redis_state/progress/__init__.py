"""Progress of work that is cut into segments, as operations.

::

    operations   begin a run, count segments, fail it, complete it
    records      the records of runs: what an application writes there keeps the count within the total
    watching     wait for changes of one run

Pure: nothing here sends.
"""
