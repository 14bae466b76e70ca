"""Sending a message by Airflow's own hooks: mail, Slack, a webhook, each by its connection."""

from __future__ import annotations

import html
import re
import smtplib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
from airflow.sdk.log import mask_secret

if TYPE_CHECKING:
    from muster.deadlines.message import Message
    from muster.deadlines.told import Channel

TIMEOUT = 30
"""Seconds that Slack or a webhook has to answer; a mail server's are its connection's `timeout`."""


class NotTaken(AirflowException):
    """Raised when a webhook answers anything but that it has taken the message."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status}:not taken")


def send(channel: Channel, message: Message) -> None:
    """Send a message; whatever the hooks raise is raised when it may not have arrived."""
    {"smtp": _mail, "slack": _slack, "webhook": _webhook}[channel.kind](channel, message)


def _mail(channel: Channel, message: Message) -> None:
    from airflow.providers.smtp.hooks.smtp import SmtpHook  # not while DAGs are parsed

    title, *lines = (html.escape(line) for line in (message.subject, *message.lines))
    content = f"<p><b>{title}</b></p>\n<p>{'<br>'.join(lines)}</p>"
    with SmtpHook(channel.connection) as hook:
        hook.send_email_smtp(to=channel.to, subject=message.subject, html_content=content)


def _slack(channel: Channel, message: Message) -> None:
    from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

    text = message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    body = {"text": text, "mrkdwn": False, "unfurl_links": False}  # a name's '_' or '*' is no formatting
    SlackWebhookHook(slack_webhook_conn_id=channel.connection, timeout=TIMEOUT).send_dict(body)


def _webhook(channel: Channel, message: Message) -> None:
    from airflow.providers.http.hooks.http import HttpHook

    _mask_path(BaseHook.get_connection(channel.connection).host or "")
    hook = HttpHook(method="POST", http_conn_id=channel.connection)
    options = {"timeout": TIMEOUT, "allow_redirects": False}  # a redirected POST becomes a GET, which tells nobody
    answer = hook.run(json=message.json, extra_options=options)
    if not 200 <= answer.status_code < 300:
        raise NotTaken(answer.status_code)


def _mask_path(address: str) -> None:
    """Keep an address's path out of the log, where its hook writes it: who knows it may call the webhook."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    for part in filter(None, (parts.path.strip("/"), parts.query)):
        mask_secret(part)


def reason(error: Exception) -> str:
    """Return why a message did not arrive, without what may be secret: errors of hooks may name addresses."""
    kind = type(error).__name__
    if isinstance(error, AirflowNotFoundException) or "onnection is not found" in str(error):
        return "Airflow has no such connection, or nothing of it that is needed; add it under Admin, Connections"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{kind}: code {error.smtp_code}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"{kind}: code {', '.join(str(code) for code, _ in error.recipients.values())}"
    if isinstance(error, OSError) and error.strerror:
        return f"{kind}: {error.strerror}"
    status = re.match(r"(\d{3}):", str(error)) or re.search(r"Status Code: (\d{3})", str(error))
    return f"HTTP {status[1]}" if status and isinstance(error, AirflowException) else kind
