"""Watching the flow: what goes by is shown on the board and counted; nothing depends on it."""

from collections.abc import Callable
from dataclasses import dataclass

from dataflows.board import Board
from dataflows.decide import Deciding, Outcome
from dataflows.metrics import MarketMetrics
from dataflows.steps import Advanced

Decide = Callable[[Deciding | None, Advanced], tuple[Deciding, list[Outcome]]]


@dataclass(frozen=True, slots=True)
class Watch:
    """Tell the board and the figures of what the steps give."""

    board: Board
    metrics: MarketMetrics

    def advanced(self, step_id: str, item: tuple[str, Advanced]) -> None:
        """See what arrivals led to; an inspector of Bytewax."""
        self.board.advance(item[1])
        self.metrics.advanced(item[1])

    def deciding(self, decide: Decide) -> Decide:
        """Give the same step, watched."""

        def watched(state: Deciding | None, advanced: Advanced) -> tuple[Deciding, list[Outcome]]:
            after, outcomes = decide(state, advanced)
            self.board.decided(advanced.instrument, after, outcomes)
            self.metrics.decided(outcomes)
            return after, outcomes

        return watched
