"""``redis-state demo``: three containers segment audio and share what they know, while one is killed.

``run`` makes the tracks, starts the workers, disturbs them and asks ``verify`` for the verdict;
``worker`` is one container: a process that shares nothing with the others but Redis and a folder;
``verify`` takes no word for it: it reads the files on disk, the data in Redis, and the workers' diaries.

=============  ===================================================================
``plan``       what there is to do, as a value that the workers read from a file
``audio``      tracks (synthesised speech-like sound) and the voices that read them
``hls``        segments and playlists: AAC through ffmpeg, else WAV in Python
``diary``      what a worker was about to do and what it was answered, kill-proof
``view``       what the terminal shows: a live table, or plain lines
=============  ===================================================================
"""
