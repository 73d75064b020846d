"""Servers: Punie's tools for other programs (MCP)."""
