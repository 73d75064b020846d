"""Servers: what other programs reach Punie by."""
