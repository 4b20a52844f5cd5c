"""Interference: the one place through which everything passes that dialects send, so that it can be broken."""

from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from simulator.dialect import Frames
from simulator.session import Session


class Interference(Protocol):
    """Change what goes out; what is held back can be sent later by `simulator.session.Session.write`."""

    def frames(self, session: Session, frames: Frames) -> Frames:
        """Give what is sent now in place of a session's frames."""
        ...

    async def answer(self, request: Request, response: Response) -> Response:
        """Give what is answered in place of a response to REST; may wait."""
        ...


class Undisturbed:
    """Let everything pass."""

    def frames(self, session: Session, frames: Frames) -> Frames:
        """Give the frames."""
        return frames

    async def answer(self, request: Request, response: Response) -> Response:
        """Give the response."""
        return response
