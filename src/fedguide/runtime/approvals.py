"""Proposing a task over a hub, and waiting for what its parties' owners say."""

from __future__ import annotations

from collections.abc import Callable

from fedguide.runtime.couriers import Clock
from fedguide.runtime.hub_client import HubClient
from fedguide.runtime.hub_wire import LONGEST_WAIT_S, Propose, TaskView, pack, unpack

WAITING, APPROVED = "waiting", "approved"


def proposed(client: HubClient, body: Propose) -> TaskView:
    """The task as the hub has it, made known if it was not.

    Raises:
        FedGuideError: the hub refuses it.
    """
    task = body.task
    return unpack(client.call("POST", "/v1/tasks", pack(body), task=task), TaskView)


def decided(
    client: HubClient,
    view: TaskView,
    clock: Clock,
    wait_s: float,
    on_view: Callable[[TaskView], None],
) -> TaskView:
    """The task once nobody is undecided, or when the time is over; ``on_view`` sees every change.

    Raises:
        ConnectionFailedError: the hub was away for longer than patience lasts.
    """
    until_s = clock() + wait_s
    on_view(view)
    while WAITING in said(view) and clock() < until_s:
        count = len(view.decisions) - said(view).count(WAITING)
        left_s = max(0, min(LONGEST_WAIT_S, int(until_s - clock())))
        path = f"/v1/tasks/{view.task}?decided={count}&wait={left_s}"
        seen = unpack(client.call("GET", path, task=view.task, wait_s=left_s), TaskView)
        if seen != view:
            on_view(seen)
        view = seen
    return view


def said(view: TaskView) -> list[str]:
    """What each party said."""
    return [one for _, one, _ in view.decisions]
