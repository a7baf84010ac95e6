"""What Prometheus reads at /metrics: requests by route, open event streams, and the depth of every queue."""

from __future__ import annotations

import time
from collections.abc import Iterator

import redis
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kinds import QUEUES


class Metrics:
    """One app's metrics, in a registry of its own."""

    def __init__(self, client: redis.Redis) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        labels = ["method", "route"]
        self.requests = Counter("touchstone_http_requests", "Answers sent", [*labels, "status"], registry=self.registry)
        self.seconds = Histogram(
            "touchstone_http_request_seconds", "Time to the answer's first byte", labels, registry=self.registry
        )
        self.streams = Gauge("touchstone_event_streams", "Event streams open now", registry=self.registry)
        self.registry.register(_Queues(client))
        ProcessCollector(registry=self.registry)


class _Queues:
    """Messages that wait in each queue, asked when Prometheus asks; nothing while Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def describe(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily("touchstone_queue_messages", "Messages that wait in a queue", labels=["queue"])]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = self.describe()[0]
        try:
            for queue in QUEUES:
                family.add_metric([queue], self._redis.llen(queue))
        except redis.RedisError:
            return
        yield family


class Measure:
    """Counts and times every request by its route (`/v1/experiments/{id}`), never by its path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self.metrics.requests.labels(scope["method"], route, message["status"]).inc()
                self.metrics.seconds.labels(scope["method"], route).observe(time.perf_counter() - began)
            await send(message)

        await self.app(scope, receive, measured)
