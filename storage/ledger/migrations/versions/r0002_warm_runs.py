"""Where the past came from that a run was warmed with."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the two counts to the runs; those that began before know none."""
    for column, comment in (
        ("warm_venue", "How many candles of the venue it was warmed with"),
        ("warm_lake", "How many candles of the lake it was warmed with"),
    ):
        op.execute(f"ALTER TABLE runs ADD COLUMN {column} integer")
        op.execute(f"COMMENT ON COLUMN runs.{column} IS '{comment}'")
