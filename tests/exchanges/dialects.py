"""Venues that take subscriptions in as real ones do, and a server for them: one dialect a way of answering."""

import asyncio
import contextlib
import json
from dataclasses import fields, replace

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from exchanges.binance import SPOT, Binance
from exchanges.messages import Ack, ErrorReply, MarkPrice, Message, Ping, Shutdown
from exchanges.venue import Subscribing

STYLES = ["whole", "whole_named", "each", "each_unnamed", "list", "replacing"]


class Dialect(Binance):
    """Binance's frames, and answers that say what they are."""

    def parse(self, frame: bytes, received_at: int) -> list[Message]:
        if not frame.startswith(b'{"says"'):
            return super().parse(frame, received_at)
        said = json.loads(frame)
        streams = None if said["streams"] is None else tuple(said["streams"])
        match said["says"]:
            case "ack":
                return [Ack(None, streams)]
            case "error":
                return [ErrorReply(7, said["words"], None, streams)]
            case "later":
                return [ErrorReply(7, said["words"], None, streams, passing=True)]
            case "ping":
                return [Ping(said["words"])]
            case "mark":
                return [MarkPrice("binance:BTC-USDT", 1, 1, "1.5", None, None, None)]
            case "shutdown":
                return [Shutdown(1)]
        return []


def say(what: str, streams=None, words: str = "") -> str:
    return json.dumps({"says": what, "streams": streams, "words": words})


def dialect(style: str, **subscribing) -> Dialect:
    replacing = {"acknowledged": False, "replaces": True} if style == "replacing" else {}
    declared = Dialect(**{field.name: getattr(SPOT, field.name) for field in fields(SPOT)})
    return replace(declared, subscribing=Subscribing(**{"kind_bytes": 20, **replacing, **subscribing}))


class DialectServer:
    """Take subscriptions in as ``style`` says, but for the streams that are ``bad``.

    So many messages as ``later`` says are answered with a refusal that passes, and all that ask for one of ``busy``.
    """

    def __init__(self, style: str, bad=(), later: int = 0, busy=()) -> None:
        self.style, self.bad, self.later, self.busy = style, set(bad), later, set(busy)
        self.subscribed: dict[object, set[str]] = {}
        self.texts: list[list[str]] = []
        self.first_answer = asyncio.Event()

    @property
    def connection(self):
        (connection,) = self.subscribed
        return connection

    @property
    def streams(self) -> set[str]:
        return {stream for streams in self.subscribed.values() for stream in streams}

    def asked(self, connection: int = 0) -> list[tuple[str, list[str]]]:
        messages = [json.loads(text) for text in self.texts[connection] if text.startswith('{"method"')]
        return [(message["method"], message["params"]) for message in messages]

    async def publish(self, frame: bytes, stream: str) -> None:
        for connection, streams in list(self.subscribed.items()):
            if stream in streams:
                with contextlib.suppress(ConnectionClosed):
                    await connection.send(frame.decode())

    @contextlib.asynccontextmanager
    async def serving(self):
        async with serve(self._handle, "127.0.0.1", 0, compression=None) as server:
            yield server.sockets[0].getsockname()[1]

    async def _handle(self, connection) -> None:
        texts: list[str] = []
        self.texts.append(texts)
        with contextlib.suppress(ConnectionClosed):
            async for text in connection:
                texts.append(text)
                if not text.startswith('{"method"'):
                    continue
                self.subscribed.setdefault(connection, set())
                message = json.loads(text)
                for answer in self._answers(self.subscribed[connection], message["method"], message["params"]):
                    await connection.send(answer)
        self.subscribed.pop(connection, None)

    def _answers(self, held: set[str], method: str, streams: list[str]) -> list[str]:
        if self.later or self.busy & set(streams):
            self.later = max(0, self.later - 1)
            return [say("later", words="too many\nrequests")]
        if self.style == "replacing":
            held.clear()
            if self.bad & set(streams):
                return [say("error", words="wrong format")]
            held.update(streams)
            return []
        if method == "UNSUBSCRIBE":
            held.difference_update(streams)
            return [say("ack", [one]) for one in streams] if "each" in self.style else [say("ack")]
        good = [one for one in streams if one not in self.bad]
        bad = [one for one in streams if one in self.bad]
        if self.style.startswith("whole"):
            if bad:
                return [say("error", bad if self.style == "whole_named" else None, "no such stream")]
            held.update(good)
            return [say("ack")]
        held.update(good)
        if self.style == "list":
            return [say("ack", good)]
        return [
            say("ack", [one]) if one in good else say("error", [one] if self.style == "each" else None, "no such")
            for one in streams
        ]
