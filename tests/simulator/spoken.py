"""Our own venues as clients of the simulator: what they ask for, and what they read of the answers."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from served import Served, rest_of

from core.instruments import Instrument
from core.timeframes import SECOND
from exchanges.messages import Message
from exchanges.registry import venue


@dataclass
class Client:
    """A venue of ours, the instrument that it follows, and the market that is served."""

    market: Served
    name: str
    instrument: Instrument

    def __post_init__(self) -> None:
        self.venue = venue(self.name)
        if self.name == "upbit":
            self.venue = replace(self.venue, now=lambda: self.market.exchange.venue_now() * 1000)

    def asked(self, request) -> bytes:
        path = urlsplit(self.venue.rest_url).path + request.path
        answer = self.market.client.get(path, params=dict(request.params))
        if answer.status_code == 429:
            time.sleep(1.1)
            answer = self.market.client.get(path, params=dict(request.params))
        assert answer.status_code == 200, answer.text
        return answer.headers[request.header].encode() if request.header else answer.content

    def older(self, before=None):
        """Give the newest page of trades, or the one before a trade; None for an empty one."""
        request = self.venue.older_trades_request(self.instrument, "trade", before)
        return self.venue.read_trades(self.instrument, "trade", self.asked(request), 1)

    def candles(self, start: int, end: int):
        request = self.venue.klines_request(self.instrument, "1m", start, end)
        return self.venue.read_klines(self.instrument, "1m", self.asked(request))

    def parsed(self, frames: list[bytes]) -> list[Message]:
        return [message for frame in frames for message in self.venue.parse(frame, 1)]

    @contextmanager
    def subscribed(self, *channels: str) -> Iterator["Streams"]:
        with ExitStack() as stack:
            sockets = []
            for connection in self.venue.subscriptions([self.instrument], channels):
                path = urlsplit(connection.url).path
                sockets.append(stack.enter_context(self.market.websocket(path)))
                for message in (*self.venue.subscribing.opening, *connection.messages):
                    sockets[-1].send(message)
            yield Streams(self, sockets)


@dataclass
class Streams:
    client: Client
    sockets: list

    def played(self, seconds: int, steps: int = 5) -> list[Message]:
        """Read what has come, let time pass, and read what then comes."""
        frames = [frame for one in self.sockets for frame in rest_of(one)]
        for _ in range(steps):
            self.client.market.advance(seconds / steps)
            self.client.market.sent_all()
            frames += [frame for one in self.sockets for frame in rest_of(one, quiet=0.03)]
        return self.client.parsed(frames)


def past(market: Served, name: str, seconds: int):
    """Give the trades of an instrument of the tape in the last seconds, in venue time."""
    now, shift = market.exchange.now(), market.exchange.clock.shift
    batches = market.exchange.tape.between(now - seconds * SECOND, now)
    [trades] = [batch for batch in batches if batch.instrument == name]
    return replace(trades, ts=trades.ts + shift)


def told(websocket, quiet: float = 0.3) -> list:
    """Give the JSON of the frames that come until none comes for a while."""
    return [json.loads(frame) for frame in rest_of(websocket, quiet)]
