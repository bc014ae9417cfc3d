"""What a call costs, beside other ways to do the same. ``python -m benchmarks --help``"""
