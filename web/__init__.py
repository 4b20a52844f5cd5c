"""The HTTP API and the dashboard, readers of storage only: floor 3 of docs/architecture.md."""
