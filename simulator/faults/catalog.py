"""The faults that there are, by the names under which scenarios know them."""

from simulator.faults.cuts import Cut24h, Drop, HalfOpen, RefuseConnect, SlowDrip
from simulator.faults.fault import Fault
from simulator.faults.garbage import DeepNesting, Garbage, HugeFrame
from simulator.faults.instruments import BadTopic, ContractSize, Delist
from simulator.faults.requests import ClockSkew, Html, SlowRest, Status
from simulator.faults.streams import Duplicate, Reorder, Silence
from simulator.faults.trades import Conflict, FalseGap, Skip

FAULTS: dict[str, type[Fault]] = {
    "drop": Drop,
    "half_open": HalfOpen,
    "silence": Silence,
    "duplicate": Duplicate,
    "reorder": Reorder,
    "skip": Skip,
    "conflict": Conflict,
    "false_gap": FalseGap,
    "garbage": Garbage,
    "huge_frame": HugeFrame,
    "deep_nesting": DeepNesting,
    "html": Html,
    "status": Status,
    "slow_rest": SlowRest,
    "cut_24h": Cut24h,
    "clock_skew": ClockSkew,
    "slow_drip": SlowDrip,
    "bad_topic": BadTopic,
    "delist": Delist,
    "contract_size": ContractSize,
    "refuse_connect": RefuseConnect,
}
