"""Faults: what goes wrong at an exchange, on request and by a script; see docs/rehearsals.md."""
