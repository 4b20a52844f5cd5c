"""When a connection that looks alive is not."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from exchanges.session import Session
from exchanges.venue import Heartbeat

_NOTHING_TO_JUDGE = 0.5


@dataclass(frozen=True, slots=True)
class Watch:
    """Say when silence is doubtful, in seconds.

    ``first_data_s`` after subscribing without data; ``stale_s`` without further data. A connection that brought
    data and held for ``steady_s`` was a good one: after it the back-off begins anew.
    """

    first_data_s: float
    stale_s: float
    steady_s: float = 5.0


async def guard(
    session: Session,
    heartbeat: Heartbeat,
    watch: Watch,
    streams: Callable[[], tuple[str, ...]],
    doubtful: Callable[[tuple[str, ...]], Awaitable[bool]],
) -> str:
    """Watch a session until it is over, and give the cause.

    It is ended where nothing at all came for as long as the heartbeat allows, and where no data came for as long
    as ``watch`` allows and ``doubtful`` says that this is a fault. Heartbeats and answers are no data.
    """
    clock = asyncio.get_running_loop().time
    patience = heartbeat.timeout + (heartbeat.interval if heartbeat.by == "client" else 0.0)
    doubt: asyncio.Future[bool] | None = None
    asked_at = 0.0
    try:
        while not session.over.done():
            now = clock()
            silent_at = _silent_at(session, watch) if streams() else now + watch.first_data_s
            if session.blocked or session.ending:
                pause = _NOTHING_TO_JUDGE
            elif now >= session.last_bytes + patience:
                session.fail(f"silence: no sign of life for {patience:g} s")
                continue
            elif doubt is None and now >= silent_at:
                doubt, asked_at = asyncio.ensure_future(doubtful(streams())), now
                continue
            else:
                pause = session.last_bytes + patience - now
                pause = pause if doubt is not None else min(pause, silent_at - now)
            awaited: set[asyncio.Future[Any]] = {session.over} if doubt is None else {session.over, doubt}
            await asyncio.wait(awaited, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            if doubt is not None and doubt.done():
                _judge(session, doubt.result(), asked_at)
                doubt = None
        return session.over.result()
    finally:
        if doubt is not None:
            doubt.cancel()
            await asyncio.gather(doubt, return_exceptions=True)


def _silent_at(session: Session, watch: Watch) -> float:
    if session.last_data is None:
        return session.quiet_since + watch.first_data_s
    return max(session.last_data, session.quiet_since) + watch.stale_s


def _judge(session: Session, fault: bool, asked_at: float) -> None:
    now = asyncio.get_running_loop().time()
    if session.ending or (session.last_data is not None and session.last_data > asked_at):
        return
    if not fault:
        session.quiet_since = now
    elif session.last_data is None:
        session.fail("silence: no data after subscribing")
    else:
        session.fail(f"silence: no data for {now - session.last_data:.1f} s")
