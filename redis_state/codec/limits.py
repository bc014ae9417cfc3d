"""How large and how deep a value may be."""

MAX_DECODED = 64 << 20  # bytes of one value, before compression
MAX_DEPTH = 100  # containers inside each other
COMPRESS_FROM = 1024  # bytes
WIDE = 10**600  # a Python may be set to read no more than 640 digits
