"""A reverse proxy before a real MLflow server that does to requests what a plan says, and writes each of them down.

    python -m tests.mlflow_faults.proxy PORT http://127.0.0.1:SERVER LOG

It passes bodies on as they come. `POST /_plan` gives it another plan. The log has a line of JSON for each request: when
it came, its class of call, its fate.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import sys
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from muster.mlflow.budget.calls import call_of
from tests.mlflow_faults.plan import PASS, Fates, Plan

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host"}
CHANGED = {*HOP_BY_HOP, "content-length"}
"""A version that is shown as pending makes a longer answer."""
TRICKLE = 0.05
"""Seconds between two parts of a slow upload."""


class Proxy:
    """Passes requests on to a server, or does worse."""

    def __init__(self, server: str, log: Path) -> None:
        self._server, self._log = server, log.open("a", buffering=1)
        self._fates = Fates(Plan())
        self._sent: dict[str, deque[float]] = defaultdict(deque)
        self._first_seen: dict[str, float] = {}
        self._retry_after = itertools.cycle([None, "0.05", "date", "soon", "0"])
        self._behind: set[asyncio.Task[Any]] = set()

    async def run(self, port: int) -> None:
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as self._session:
            application = web.Application(client_max_size=2**31)
            application.router.add_post("/_plan", self._new_plan)
            application.router.add_route("*", "/{path:.*}", self._request)
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            await asyncio.Event().wait()

    async def _new_plan(self, request: web.Request) -> web.Response:
        self._fates = Fates(Plan(**await request.json()))
        return web.Response()

    async def _request(self, request: web.Request) -> web.StreamResponse:
        at, call_class = time.time(), call_of(request.method, request.path).call_class
        fate = self._fates.draw(request.method, request.path)
        if self._beyond(call_class, at):
            fate = "429 limit"
        line = {"at": at, "class": call_class, "method": request.method, "path": request.path, "fate": fate}
        self._log.write(json.dumps(line) + "\n")
        answer = await self._meet(request, fate)
        if answer is None:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError
        return answer

    def _beyond(self, call_class: str, at: float) -> bool:
        """Tell whether a call is beyond what the server lets through; such calls do not count."""
        limit, sent = self._fates.plan.limits.get(call_class), self._sent[call_class]
        while sent and sent[0] <= at - 1:
            sent.popleft()
        if limit is not None and len(sent) >= limit:
            return True
        sent.append(at)
        return False

    async def _meet(self, request: web.Request, fate: str) -> web.StreamResponse | None:
        """Do what a fate says; None is no answer at all."""
        if fate.startswith("429"):
            await request.read()
            return self._throttled()
        if fate in ("500 before", "lost before"):
            await request.read()
            return self._failed() if fate == "500 before" else None
        if fate == "cut":
            await self._half_of(request)
            return None
        if fate == "late":
            body = await request.read()
            self._later(self._passed_on(request, body, self._fates.plan.held))
            await asyncio.sleep(2 * self._fates.plan.held)
            return None
        answer = await self._passed_on(request, self._body(request, TRICKLE if fate == "slow" else 0))
        if fate == "timeout":
            await asyncio.sleep(self._fates.plan.held)
        if fate == "500 after":
            return self._failed()
        return answer if fate in (PASS, "slow") else None

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def _half_of(self, request: web.Request) -> None:
        left = (request.content_length or 0) // 2
        while left > 0 and (part := await request.content.read(min(left, 65_536))):
            left -= len(part)

    async def _body(self, request: web.Request, pause: float) -> AsyncIterator[bytes]:
        async for part in request.content.iter_chunked(65_536):
            yield part
            await asyncio.sleep(pause)

    async def _passed_on(self, request: web.Request, body: Any, after: float = 0) -> web.Response:
        await asyncio.sleep(after)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        headers["Host"] = self._server.split("//")[1]
        url = f"{self._server}{request.raw_path}"
        sent = body if request.body_exists or isinstance(body, bytes) else None
        async with self._session.request(request.method, url, headers=headers, data=sent) as answer:
            shown = {name: value for name, value in answer.headers.items() if name.lower() not in CHANGED}
            return web.Response(status=answer.status, headers=shown, body=self._shown(request, await answer.read()))

    def _shown(self, request: web.Request, body: bytes) -> bytes:
        """Show versions as pending for a while after they are first seen."""
        pending = self._fates.plan.pending
        if not pending or "/model-versions/" not in request.path:
            return body
        with contextlib.suppress(ValueError):
            answer = json.loads(body)
            for item in [answer.get("model_version", {}), *answer.get("model_versions", [])]:
                name = f"{item.get('name')} {item.get('version')}"
                if item and time.time() < self._first_seen.setdefault(name, time.time()) + pending:
                    item["status"] = "PENDING_REGISTRATION"
            return json.dumps(answer).encode()
        return body

    def _throttled(self) -> web.Response:
        asked = next(self._retry_after)
        if asked == "date":
            asked = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
        error = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "slow down"}  # a client must not believe it
        return web.json_response(error, status=429, headers={"Retry-After": asked} if asked is not None else {})

    def _failed(self) -> web.Response:
        error = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "out of order"}
        return web.json_response(error, status=500)


if __name__ == "__main__":
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # connections are closed on purpose
    asyncio.run(Proxy(sys.argv[2], Path(sys.argv[3])).run(int(sys.argv[1])))
