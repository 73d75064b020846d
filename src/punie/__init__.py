"""Punie: a coding agent for Python repositories that runs on the developer's own machine."""

__version__ = "0.1.0"
