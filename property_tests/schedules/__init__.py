"""Schedules: steps of several operations in an order that Hypothesis chooses, late answers, clocks that jump."""
