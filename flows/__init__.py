"""Prefect flows, each a table of contents over lower floors: floor 3 of docs/architecture.md."""
