"""`pavo webhook`: an organisation's webhooks."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter
from rich.text import Text

from pavo.cli.admin.operators import DataDir, Operator, OrganisationName, connected_operator, local_time
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer, console, say
from pavo.cli.parameters import Limit
from pavo.cli.table import Listing, table
from pavo.webhooks.domain import OVERLAP, Delivery, Webhook
from pavo.webhooks.service import DeliveryState, WebhookWithSecret

webhook_app = App(
    name="webhook",
    help="Webhooks: whom Pavo tells of an organisation's tasks.",
    help_epilogue=epilogue("webhook"),
)
TEST_SECONDS: Final = 30.0
"""How long a test's result is waited for; a worker delivers it."""
ASK_SECONDS: Final = 0.2


@asynccontextmanager
async def named_webhook(
    webhook: str, org: str | None, data_dir: Path | None
) -> AsyncGenerator[tuple[Operator, uuid.UUID, Webhook]]:
    """An operator, the organisation that is meant, and its webhook with this id, beginning of an id, or URL."""
    async with connected_operator(data_dir) as operator:
        organisation_id = await operator.organisation(org)
        yield operator, organisation_id, await operator.webhooks.named(organisation_id, webhook)


@webhook_app.command(name="add")
async def add_webhook(
    url: str,
    /,
    *,
    event: list[str] | None = None,
    description: str = "",
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Add a receiver, and show the secret that signs what it gets this once.

    Parameters
    ----------
    url
        https://…, at a public address.
    event
        What it is told of, for example task.waiting; default: everything.
    description
        What it is for, to recognise it by.
    """
    async with connected_operator(data_dir) as operator:
        organisation_id = await operator.organisation(org)
        added = await operator.webhooks.add(organisation_id, url, events=event or (), description=description)
    _show_secret(added, output)


@webhook_app.command(name="list")
async def list_webhooks(
    *, limit: Limit = None, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """List an organisation's webhooks, oldest first."""
    async with connected_operator(data_dir) as operator:
        found = await operator.webhooks.all_of(await operator.organisation(org))
    _WEBHOOKS.show(output, found, asdict, limit)


_WEBHOOKS: Final[Listing[Webhook]] = Listing(
    "webhooks",
    {
        "URL": lambda one: one.url,
        "STATE": lambda one: _state(one),
        "WAITING": lambda one: one.waiting,
        "DELIVERED": lambda one: local_time(one.delivered_at),
        "ID": lambda one: one.id,
    },
    nothing="There are no webhooks. Add one: pavo webhook add URL",
    command="pavo webhook list",
)


@webhook_app.command(name="show")
async def show_webhook(
    webhook: str, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Show a webhook, and how it has answered lately.

    Parameters
    ----------
    webhook
        Its id, the beginning of it, or its URL.
    """
    async with named_webhook(webhook, org, data_dir) as (_, _, found):
        pass
    lines = (
        ("id", str(found.id)),
        ("url", found.url),
        ("description", found.description),
        ("events", ", ".join(found.events)),
        ("state", _state(found)),
        ("waiting", f"{found.waiting} messages"),
        ("delivered", local_time(found.delivered_at)),
        ("secrets", f"{found.secrets} valid"),
    )
    Printer(output).show(asdict(found), "\n".join(f"{label:<12} {value}" for label, value in lines if value))


@webhook_app.command(name="test")
async def test_webhook(
    webhook: str, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> int:
    """Send a test message, and wait for what becomes of it: exit code 1 where the receiver does not take it.

    Parameters
    ----------
    webhook
        Its id, the beginning of it, or its URL.
    """
    async with named_webhook(webhook, org, data_dir) as (operator, organisation_id, found):
        sent = await operator.webhooks.test(organisation_id, found.id)
        until = time.monotonic() + TEST_SECONDS
        while not _attempted(sent) and time.monotonic() < until:
            await asyncio.sleep(ASK_SECONDS)
            sent = await operator.webhooks.delivery(organisation_id, found.id, sent.id)
    Printer(output).show(asdict(sent), _told(sent))
    return 0 if sent.state == "delivered" else 1


def _attempted(sent: Delivery) -> bool:
    return sent.state != "pending" or sent.error is not None


def _told(sent: Delivery) -> str:
    if sent.state == "delivered":
        return f"✓ The receiver took it: it answered {sent.status} after {sent.seconds or 0:.2f} s."
    if sent.error is not None:
        return f"✗ {sent.error} It is tried again at {local_time(sent.next_attempt_at)}."
    return f"✗ Nobody has tried it within {TEST_SECONDS:g} s: does a worker run? It waits; see: pavo status"


@webhook_app.command(name="rotate")
async def rotate_secret(
    webhook: str,
    /,
    *,
    overlap: timedelta = OVERLAP,
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Make a new secret and show it this once; the one before it goes on signing for a while.

    Parameters
    ----------
    webhook
        Its id, the beginning of it, or its URL.
    overlap
        For how long, like 12h; up to 7d.
    """
    async with named_webhook(webhook, org, data_dir) as (operator, organisation_id, found):
        rotated = await operator.webhooks.rotate(organisation_id, found.id, overlap)
    _show_secret(rotated, output)


@webhook_app.command(name="enable")
async def enable_webhook(
    webhook: str, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Enable a webhook again that failure has disabled; what waits for it is sent at once.

    Parameters
    ----------
    webhook
        Its id, the beginning of it, or its URL.
    """
    async with named_webhook(webhook, org, data_dir) as (operator, organisation_id, found):
        enabled = await operator.webhooks.change(organisation_id, found.id, enabled=True)
    Printer(output).show(asdict(enabled), f"✓ {enabled.url} is enabled; {enabled.waiting} messages wait for it.")


@webhook_app.command(name="remove")
async def remove_webhook(
    webhook: str, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Remove a webhook; what waits for it is not sent any more.

    Parameters
    ----------
    webhook
        Its id, the beginning of it, or its URL.
    """
    async with named_webhook(webhook, org, data_dir) as (operator, organisation_id, found):
        await operator.webhooks.remove(organisation_id, found.id)
    Printer(output).show({"removed": str(found.id)}, f"✓ {found.url} is removed.")


@webhook_app.command(name="deliveries")
async def list_deliveries(
    webhook: str,
    /,
    *,
    state: DeliveryState | None = None,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 20,
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """List what was sent to a webhook and what became of it, newest first.

    Parameters
    ----------
    webhook
        Its id, the beginning of it, or its URL.
    state
        Only messages in this state.
    limit
        Messages at most, 200 or fewer.
    """
    async with named_webhook(webhook, org, data_dir) as (operator, organisation_id, found):
        page = await operator.webhooks.deliveries(organisation_id, found.id, state=state, limit=limit)
    left_out = page.next_cursor is not None
    Printer(output).show(
        {"deliveries": [asdict(one) for one in page.items], "next_cursor": page.next_cursor},
        lambda: _print_deliveries(page.items, f"pavo webhook deliveries {webhook}" if left_out else ""),
    )


def _print_deliveries(found: Sequence[Delivery], more: str) -> None:
    columns = ("CREATED", "EVENT", "STATE", "TRIES", "ANSWER", "ID")
    rows = [(local_time(one.created_at), one.type, one.state, one.attempts, _answer(one), one.id) for one in found]
    table(columns, rows, nothing="Nothing was sent to it.")
    if more:
        note = f"These are the newest {len(found)}; there are older ones. More: {more} -n {min(200, len(found) * 5)}"
        say(note, to=console(stderr=not console().file.isatty()))


@webhook_app.command(name="resend")
async def resend_delivery(
    webhook: str,
    delivery: uuid.UUID,
    /,
    *,
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Send a message again, under the same id, whatever became of it.

    Parameters
    ----------
    webhook
        Its id, the beginning of it, or its URL.
    delivery
        The message's id, as `pavo webhook deliveries` shows it.
    """
    async with named_webhook(webhook, org, data_dir) as (operator, organisation_id, found):
        sent = await operator.webhooks.resend(organisation_id, found.id, delivery)
    Printer(output).show(asdict(sent), "✓ It is sent again.")


def _state(webhook: Webhook) -> str:
    if not webhook.enabled:
        return f"disabled: {webhook.disabled_reason}" if webhook.disabled_reason else "disabled"
    return f"failing since {local_time(webhook.failing_since)}" if webhook.failing_since else "enabled"


def _answer(delivery: Delivery) -> str:
    return delivery.error or ("" if delivery.status is None else str(delivery.status))


def _show_secret(found: WebhookWithSecret, output: Output) -> None:
    document: dict[str, Any] = {**asdict(found.webhook), "secret": found.secret}
    Printer(output).show(document, lambda: _print_secret(found))


def _print_secret(found: WebhookWithSecret) -> None:
    console().print(Text(found.secret, style="bold"), soft_wrap=True)
    # On the error stream, so that SECRET=$(pavo webhook add …) gets nothing but the secret.
    told = f"Keep it: it is not shown again. Then: pavo webhook test {found.webhook.id}"
    console(stderr=True).print(Text(told, style="dim"), soft_wrap=True)


give_examples(webhook_app, "webhook")
