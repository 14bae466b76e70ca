"""Deadlines of a workload: which are missed, who was told, and who is to be told now."""
