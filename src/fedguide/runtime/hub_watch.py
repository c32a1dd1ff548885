"""What a hub tells its operator: metrics for Prometheus, and one JSON line a request.

Neither holds an address, a body, a key or anything of a shopper: the names of parties and tasks,
which the operator gave out, are the most personal they get.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Log: TypeAlias = Callable[[dict[str, Any]], None]
"""Takes one record."""


class HubMetrics:
    """The metrics of one hub process, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter(
            "fedguide_hub_requests", "Requests answered.", labels, registry=self._registry
        )
        self.seconds = Histogram(
            "fedguide_hub_request_seconds",
            "Seconds until the answer; polls that wait are not in it.",
            ("route",),
            registry=self._registry,
        )
        self.received = Counter(
            "fedguide_hub_received_bytes", "Bytes of bodies received.", registry=self._registry
        )
        self.sent = Counter(
            "fedguide_hub_sent_bytes", "Bytes of bodies sent.", registry=self._registry
        )
        self.polls = Gauge(
            "fedguide_hub_waiting_polls", "Polls that wait now.", registry=self._registry
        )
        self.unanswered = Gauge(
            "fedguide_hub_unanswered_messages", "Messages that wait.", registry=self._registry
        )
        self.stored = Gauge(
            "fedguide_hub_stored_bytes", "Bytes of payloads.", registry=self._registry
        )

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)


def json_lines(write: Callable[[str], object]) -> Log:
    """A log that writes every record as one line of JSON."""

    def log(record: dict[str, Any]) -> None:
        write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")

    return log
