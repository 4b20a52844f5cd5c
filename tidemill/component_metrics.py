"""What Prometheus is told of every component beside its own figures: its state and its restarts."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from core.health import Health
from tidemill.child import ChildState

_LEVEL = {"down": 0, "degraded": 1, "healthy": 2}


class StateCollector(Collector):
    """Tell a component's state when asked: 2 healthy, 1 degraded, 0 down."""

    def __init__(self, component: str, health: Callable[[], Health]) -> None:
        self._component, self._health = component, health

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the one figure."""
        text = "2 healthy, 1 degraded, 0 down"
        state = GaugeMetricFamily("tidemill_component_state", text, labels=["component"])
        state.add_metric([self._component], _LEVEL[self._health().state])
        yield state


class RestartCollector(Collector):
    """Tell how often the supervisor has started each component again."""

    def __init__(self, children: Callable[[], Sequence[ChildState]]) -> None:
        self._children = children

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Give a figure a component."""
        restarts = CounterMetricFamily("tidemill_component_restarts", "Starts after an end", labels=["component"])
        for child in self._children():
            restarts.add_metric([child.name], child.restarts)
        yield restarts
