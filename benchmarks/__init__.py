"""Benchmarks: one file a question, each with `run(settings, quick=False) -> list[Figure]`; see README.md."""
