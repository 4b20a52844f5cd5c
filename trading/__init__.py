"""Sizing, risk, order life cycle, positions, fill simulation: floor 1 of docs/architecture.md."""
