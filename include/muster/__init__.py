"""Muster: thousands of per-group models, each trained, judged, promoted and scored with."""

__version__ = "0.1.0"
