"""A gap that is filled is repaired, also where the venue was once believed to have no more of it."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Let gaps go from unfillable to repaired; those that are filled already go there now."""
    op.execute(
        """
        CREATE OR REPLACE FUNCTION gap_never_moves_back() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF new.missing > old.missing
               OR (new.state <> old.state AND old.state <> 'open'
                   AND (old.state, new.state) <> ('unfillable', 'repaired'))
               OR (new.instrument, new.id_space, new.first_id, new.last_id)
                  IS DISTINCT FROM (old.instrument, old.id_space, old.first_id, old.last_id) THEN
                RAISE EXCEPTION 'a gap never moves back, % % to % tried to',
                    old.instrument, old.first_id, old.last_id
                    USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN new;
        END
        $$
        """
    )
    op.execute("UPDATE gaps SET state = 'repaired' WHERE state = 'unfillable' AND missing = 0")
    op.execute(
        "ALTER TABLE gaps ADD CONSTRAINT gaps_repaired_is_nothing_missing"
        " CHECK ((state = 'repaired') = (missing = 0))"
    )
