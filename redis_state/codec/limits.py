"""Limits on the size and the depth of a value."""

MAX_DECODED = 64 << 20  # bytes of one value, before compression
MAX_DEPTH = 100  # containers inside each other
MAX_CONTAINERS = 1 << 20  # of one value: lists, dicts, tuples, sets, and what is stored as a list, as dates are
MAX_ITEMS = 8 << 20  # of one value that takes more than 24 MB, before compression
COMPRESS_FROM = 1024  # bytes
WIDE = 10**600  # a Python may be set to read no more than 640 digits
