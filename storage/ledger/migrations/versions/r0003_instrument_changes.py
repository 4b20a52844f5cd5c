"""What venues said of their instruments over time: a contract may change its size."""

from alembic import op

revision = "0003"
down_revision = "0002"

_COLUMNS = {
    "instrument": "The instrument's name",
    "since": "When the recorder was told, UTC",
    "native": "The exchange's own symbol",
    "tick": "Smallest step of the price",
    "lot": "Smallest step of the size",
    "multiplier": "Units of base (inverse contracts: of quote) that one contract stands for",
    "size_unit": "What a size of 1 means: base, quote or contracts",
}


def upgrade() -> None:
    """Create the table; it fills as lists are read."""
    op.execute(
        """
        CREATE TABLE instrument_changes (
            instrument text NOT NULL,
            since timestamptz NOT NULL,
            native text NOT NULL,
            tick numeric,
            lot numeric,
            multiplier numeric NOT NULL,
            size_unit text NOT NULL CHECK (size_unit IN ('base', 'quote', 'contracts')),
            PRIMARY KEY (instrument, since)
        )
        """
    )
    op.execute("COMMENT ON TABLE instrument_changes IS 'What the exchange said of an instrument, a row a change'")
    for column, comment in _COLUMNS.items():
        op.execute(f"COMMENT ON COLUMN instrument_changes.{column} IS '{comment.replace(chr(39), chr(39) * 2)}'")
