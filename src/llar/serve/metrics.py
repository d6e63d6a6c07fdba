"""What the server counts, for Prometheus (text format 0.0.4, as prometheus_client writes it).

Names follow Prometheus' naming: base units, `_total` for counters, one `llar_` prefix.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

if TYPE_CHECKING:
    from .engines import Engines
    from .library import Library

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The counters of one server."""

    def __init__(self, engines: Engines, library: Library) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "llar_requests_total",
            "Requests answered.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "llar_request_seconds",
            "Seconds from a request's head to the last byte of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self.open_requests = Gauge(
            "llar_open_requests", "Requests being answered.", registry=self._registry
        )
        self._registry.register(_Now(engines, library))

    def text(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self._registry)


class _Now:
    """Figures that are asked for when they are read: models and jobs."""

    def __init__(self, engines: Engines, library: Library) -> None:
        self._engines = engines
        self._library = library

    def describe(self) -> list[Metric]:
        """Nothing beforehand: the stores need not be read to register."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every model's state and the jobs by state."""
        loaded = GaugeMetricFamily(
            "llar_model_loaded", "1 while a model is loaded.", labels=["model"]
        )
        memory = GaugeMetricFamily(
            "llar_model_memory_bytes", "Resident memory of a model's process.", labels=["model"]
        )
        active = GaugeMetricFamily(
            "llar_model_active_requests", "Requests a model works on.", labels=["model"]
        )
        waiting = GaugeMetricFamily(
            "llar_model_waiting_requests", "Requests that wait for a model.", labels=["model"]
        )
        restarts = CounterMetricFamily(
            "llar_model_restarts", "Times a model's process died and was started anew.",
            labels=["model"],
        )  # fmt: skip
        for model in self._engines.status():
            loaded.add_metric([model.name], float(model.state == "loaded"))
            memory.add_metric([model.name], float(model.memory or 0))
            active.add_metric([model.name], float(model.active))
            waiting.add_metric([model.name], float(model.waiting))
            restarts.add_metric([model.name], float(model.restarts))
        yield from (loaded, memory, active, waiting, restarts)
        jobs = GaugeMetricFamily("llar_jobs", "Jobs by state.", labels=["state"])
        for state, count in self._library.job_counts().items():
            jobs.add_metric([state], float(count))
        yield jobs
