"""Arrivals: orders that provoke orders (a Hawkes process, by its branching form)."""

import numpy as np
from numpy.typing import NDArray

BRANCHING = 0.7
"""How many orders one order provokes on average; the share of orders that answer another one."""

_QUICK = 0.08
_SLOW = 5.0
"""Mean delays of an answer, in seconds: half are machines, half are people."""


def arrivals(rng: np.random.Generator, rates: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Draw the times of all orders that begin, directly or by provocation, in one block.

    ``rates`` float64[n] is the mean number of orders a second in each of n intervals of ``step`` seconds.
    Gives seconds since the block's start, float64, unordered; answers may lie beyond the block's end.
    Hawkes and Oakes (1974): the process is a Poisson process of immigrants, each with a branching cluster.
    """
    counts = rng.poisson(rates * (step * (1.0 - BRANCHING)))
    parents = np.repeat(np.arange(len(rates)) * step, counts)
    parents += rng.random(len(parents)) * step
    generations = [parents]
    while len(parents):
        children = np.repeat(parents, rng.poisson(BRANCHING, len(parents)))
        delay = np.where(rng.random(len(children)) < 0.5, _QUICK, _SLOW)
        parents = children + rng.standard_exponential(len(children)) * delay
        generations.append(parents)
    return np.concatenate(generations)
