"""Whatever is wrong with the input: one line that says what to do, and nothing stored has changed."""

import gzip
import os
import random
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("bad_input")


def test_files_that_are_no_recording(stored, tmp_path: Path) -> None:
    whole = stored.recording.read_bytes()
    okx = b"".join(
        b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d","px":"1",'
        b'"sz":"1","side":"buy","ts":"1736121600000"}]}\n' % n
        for n in range(20)
    )
    bad_prices = ("NaN", "nan", "Infinity", "-1", "0", "0.00000000", "1e400", "", "12345678901234567890")
    contents = {
        "empty": (b"", "is empty"),
        "blank": (b"\n\r\n \n", "is empty"),
        "binary": (random.Random(1).randbytes(200_000), "no recording of binance"),
        "zeros": (bytes(100_000), "no recording of binance"),
        "picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(500), "no recording of binance"),
        "half.gz": (gzip.compress(whole)[:-5000], "middle of its gzip data: copy it again"),
        "damaged.gz": (b"\x1f\x8b\x08\x00" + bytes(6) + b"\xff" * 500, "copy it again"),
        "other-venue": (okx, "no recording of binance"),
        "other-venue-acknowledged": (b'{"result":null,"id":1}\n' + okx, "no recording of binance"),
        "no-number": (
            b"".join(stored.frame(p, number=n) for n, p in enumerate(bad_prices, 1)),
            "no recording of binance",
        ),
        "one-line": (b"x" * (17 << 20), "longer than 16 MiB"),
        "one-huge-array": (b"[" * (17 << 20), "longer than 16 MiB"),
        "deep": (b"[" * 1_000_000 + b"\n", "no recording of binance"),
        "latin-1": ("été\n".encode("latin-1") * 9, "no recording of binance"),
        "right-to-left \u202egz.sw": ("\u202eabc\n".encode(), "no recording of binance"),
        "trades.csv": (b"trade_id,ts,price,size,side\n1,1736121600000,1,1,buy\n", "no recording of binance"),
    }
    cases = {}
    for name, (content, says) in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        cases[name] = stored.case(["replay", str(path), "--venue", "binance"], [says], code=(2,))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for name, says in {
        "absent": "No such file",
        "loop": "Too many levels of symbolic links",
        "pipe": "no regular file",
        ".": "is a folder: name the files",
        "/dev/null": "no regular file",
        "/dev/zero": "no regular file",
        "x" * 300: "File name too long",
    }.items():
        cases[name] = stored.case(["replay", str(tmp_path / name), "--venue", "binance"], [says], code=(2,))
    good = str(stored.recording)
    cases["a good one and a bad one"] = stored.case(
        ["replay", good, str(tmp_path / "half.gz"), "--venue", "binance"], ["half.gz", "copy it again"], code=(2,)
    )
    cases["frames of a venue that is not known"] = stored.case(
        ["replay", good, "--venue", "nowhere"], ["unknown venue 'nowhere'", "Known: "]
    )
    assert not stored.failures(tmp_path, cases)


def test_files_that_are_no_trades(stored, tmp_path: Path) -> None:
    head, row = "trade_id,ts,price,size,side\n", "1,1736121600000,100.5,0.25,buy\n"
    contents = {
        "missing-column": ("trade_id,ts,price,size\n1,1736121600000,1,1\n", ["what is missing: side"]),
        "side": (head + row + row.replace("buy", "hold"), ["taker side unreadable", "mend or remove it"]),
        "negative": (head + row.replace("100.5", "-100.5"), ["price unreadable", "mend or remove it"]),
        "nan": (head + row.replace("100.5", "NaN"), ["price unreadable"]),
        "20-digits": (head + row.replace("100.5", "12345678901234567890"), ["price unreadable"]),
        "16-digits": (head + row.replace("100.5", "1234567890.123456"), ["price unreadable"]),
        "zero": (head + row.replace("0.25", "0.000"), ["size 0.0"]),
        "year-1": (head + row.replace("1736121600000", "12"), ["time 12000000"]),
        "mixed": ("symbol," + head + "A," + row + "B," + row, ["several instruments (A, B)", "one at a time"]),
        "long": (head + row + "x" * 3_000_000 + "\n", ["cannot read", "mend or remove"]),
        "latin-1": ((head + row.replace("buy", "büy")).encode("latin-1"), ["utf-8"]),
        "half.csv.gz": (gzip.compress((head + row * 5000).encode())[:-9], ["middle of its gzip"]),
        "half.parquet": (b"PAR1" + bytes(500), ["cannot read"]),
        "binary": (bytes(500), ["neither Parquet nor CSV"]),
        "header": (head, ["there are no trades"]),
        "empty": ("", ["is empty"]),
        "frames": (stored.frame(), ["what is missing"]),
    }
    cases = {}
    for name, (content, says) in contents.items():
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        cases[name] = stored.case(["replay", str(path), "--instrument", "binance:BTC-USDT"], says, code=(2,))
    good = tmp_path / "good.csv"
    good.write_text(head + row)
    for name, says in {
        "binance:BTCUSDT": "write venue:BASE-QUOTE",
        "BTCUSDT": "write venue:BASE-QUOTE",
        "binance:btc-usdt": "write venue:BASE-QUOTE",
        "binanse:BTC-USDT": "did you mean 'binance'?",
        "../../x": "write venue:BASE-QUOTE",
        "binance:../../x-USDT": "write venue:BASE-QUOTE",
        "": "write venue:BASE-QUOTE",
        "binance:BTC-USDT\n": "write venue:BASE-QUOTE",
        "binance:BTC-USDT\x1b[2J": "write venue:BASE-QUOTE",
        "binance:" + "B" * 300 + "-USDT": "write venue:BASE-QUOTE",
        "binance:\u202eCTB-TDSU": "write venue:BASE-QUOTE",
        "binance:BTC-USDT-20251": "write venue:BASE-QUOTE",
        "binance:BTC-USDT'; DROP TABLE trades; --": "write venue:BASE-QUOTE",
    }.items():
        cases[f"instrument {name!r}"] = stored.case(["replay", str(good), f"--instrument={name}"], [says], code=(2,))
    assert not stored.failures(tmp_path, cases)


def test_command_lines_that_are_wrong(stored, tmp_path: Path) -> None:
    good = str(stored.recording)
    replay = ["replay", good]
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").write_text("x")
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "tidemill.version").write_text("2\n")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "tidemill.version").write_bytes(b"\xff\xfe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    venue = ["--venue", "binance"]
    cases = {
        "unknown command": stored.case(["repaly", good], ["did you mean 'replay'?"], code=(2,)),
        "unknown option": stored.case([*replay, "--vneue", "binance"], ["--vneue"], code=(2,)),
        "no file": stored.case(["replay", *venue], ["FILE"], code=(2,)),
        "neither venue nor instrument": stored.case(replay, ["--venue NAME", "--instrument NAME"], code=(2,)),
        "venue and instrument": stored.case([*replay, *venue, "--instrument", "binance:BTC-USDT"], ["--venue NAME"]),
        "venue": stored.case(
            [*replay, "--venue", "binanse"], ["unknown venue", "did you mean 'binance'?"], code=(2,)
        ),
        "log": stored.case([*replay, *venue, "--log", "loud"], ["'loud'", "'debug'"], code=(2,)),
        "settings absent": stored.case([*replay, *venue, "--config", "absent.toml"], ["absent.toml: No such file"]),
        "settings a folder": stored.case([*replay, *venue, "--config", str(tmp_path)], ["Is a directory"], code=(2,)),
        **{
            f"speed {speed}": stored.case([*replay, *venue, f"--speed={speed}"], [said], code=(2,))
            for speed, said in {
                "0": "above 0",
                "-1": "above 0",
                "nan": "above 0",
                "inf": "above 0",
                "x": "--speed",
            }.items()
        },
    }
    for command in (replay + venue, ["sql", "SELECT 1"], ["status"], ["migrate"]):
        for name, says in {"newer": "upgrade Tidemill", "odd": "restore", "file": "--data", "full": "--data"}.items():
            argv = [*command, "--data", str(tmp_path / name)]
            cases[f"{command[0]} on {name}"] = stored.case(argv, [says if command[0] != "status" else ""], data=False)
        if command[0] in ("sql", "status"):
            argv = [*command, "--data", str(tmp_path / "absent")]
            cases[f"{command[0]} on nothing"] = stored.case(argv, ["--data"], data=False, code=(2,))
    for name in ("loop", "file/inside", "x" * 300, "/proc/data"):
        argv = [*replay, *venue, "--data", str(tmp_path / name)]
        cases[f"data in {name[:9]}"] = stored.case(
            argv, ["cannot use the data folder", "--data"], data=False, code=(2,)
        )
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    wrong = stored.failures(tmp_path, cases)
    left = {str(p) for p in tmp_path.rglob("*") if not p.name.startswith("case")} - set(before)
    assert not wrong
    assert not left


def test_settings_that_are_wrong(stored, tmp_path: Path) -> None:
    secret = "hunter2hunter2"
    written = {
        "journl = 1": ["'journl'", "did you mean 'journal'?"],
        "[candles]\nlatness_ms = 5": ["'candles.latness_ms'", "did you mean 'candles.lateness_ms'?"],
        "[candles]\nlateness_ms = 'x'": ["'candles.lateness_ms'", "write a whole number"],
        "[candles]\nlateness_ms = -1": ["'candles.lateness_ms'", "write 0 or more"],
        "[candles]\ntimeframes = ['5min']": ["unknown timeframe '5min'", "did you mean '5m'?"],
        "[journal]\nsegment_bytes = -1": ["'journal.segment_bytes'", "write more than 0"],
        "[journal]\nsegment_bytes = 5": ["journal.segment_bytes must be at least"],
        "[[strategies]]\nname = 'rsii'": ["unknown strategy 'rsii'", "did you mean 'rsi'?"],
        "[[strategies]]\nname = 'rsi'\nparams = {lenght = 3}": ["'lenght'", "did you mean 'length'?"],
        "[[strategies]]\nname = 'rsi'\nparams = {length = 1}": ["length", "1"],
        "[[strategies]]\nname = 'rsi'\nparams = {length = nan}": ["length", "nan"],
        "[[strategies]]\nname = 'rsi'\nparams = {length = 'x'}": ["length"],
        "[[strategies]]\nname = 'rsi'\ntimeframe = '7m'": ["unknown timeframe '7m'"],
        "[[strategies]]\nname = 'rsi'\ninstruments = ['../../x']": ["'../../x'", "venue:BASE-QUOTE"],
        "[[strategies]]\nname = 'rsi'\ninstruments = ['a\\u0000b']": ["venue:BASE-QUOTE"],
        "[[strategies]]\nname = 'rsi'\nparms = {}": ["did you mean 'strategies.params'?"],
        "strategies = 5": ["'strategies'"],
        "log = 'loud'": ["'log'", "'debug'"],
        "log = ": ["not valid TOML"],
        "log = 'info'\nlog = 'info'": ["not valid TOML"],
        f"[ledger]\nurl = 'mysql://ann:{secret}@db/t'": ["ledger"],
        f"[ledger]\nurl = 'postgresql://ann:{secret}@127.0.0.1:1/t'": ["127.0.0.1"],
    }
    cases = {}
    for number, (text, says) in enumerate(written.items()):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        argv = ["replay", str(stored.recording), "--venue", "binance", "--config", str(path)]
        cases[text] = stored.case(argv, says)
    (tmp_path / "latin-1.toml").write_bytes("log = 'é'".encode("latin-1"))
    (tmp_path / "nul.toml").write_text('data = "a\\u0000b"')
    replay = ["replay", str(stored.recording), "--venue", "binance"]
    cases["latin-1"] = stored.case(
        [*replay, "--config", str(tmp_path / "latin-1.toml")], ["not valid TOML"], code=(2,)
    )
    cases["nul"] = stored.case([*replay, "--config", str(tmp_path / "nul.toml")], ["data"], data=False, code=(2,))
    for name, value, says in (
        ("TIDEMILL_JURNAL__MAX_BYTES", "5", "did you mean 'TIDEMILL_JOURNAL__MAX_BYTES'?"),
        ("TIDEMILL_LEGDER__URL", secret, "did you mean 'TIDEMILL_LEDGER__URL'?"),
        ("TIDEMILL_CANDLES", "{", "JSON"),
        ("TIDEMILL_LOG", "loud", "'debug'"),
        ("TIDEMILL_CANDLES__LATENESS_MS", "abc", "'candles.lateness_ms'"),
        ("TIDEMILL_CONFIG", "absent", "absent: No such file"),
    ):
        cases[name] = stored.case(replay, [says], env={name: value}, code=(2,))
    wrong = stored.failures(tmp_path, cases)
    assert not wrong
    assert not [path for path in tmp_path.glob("case*.err") if secret in path.read_text()]


def test_questions_that_are_wrong(stored, tmp_path: Path) -> None:
    asked = {
        "SELECT * FROM traeds": 'Did you mean "trades"?',
        "SELECT pirce FROM trades": '"price"',
        "FROM ohlcv('binance:BTC-USDT', '5min')": "unknown timeframe; known: 1s, 1m, 3m, 5m",
        "SELEC 1": 'at or near "SELEC"',
        "DROP VIEW trades; DELETE FROM lake.trades": "read-only",
    }
    for query, says in asked.items():
        done = stored.tidemill("sql", query, "--data", str(stored.data), cwd=tmp_path, stdin=subprocess.DEVNULL)
        *pointing, line = done.stderr.splitlines()
        assert done.returncode in (1, 2)
        assert done.stdout == ""
        assert line.startswith("tidemill: ")
        assert says in line
        assert not pointing or (len(pointing) == 2 and pointing[0] == f"LINE 1: {query}"), done.stderr
    assert list(tmp_path.iterdir()) == []
    assert not stored.serving(stored.data)
    assert stored.fingerprint(stored.data) == stored.before
