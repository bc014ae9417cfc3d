"""Tests of each package in the folder of its name; ``support`` is what they stand on."""
