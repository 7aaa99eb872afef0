"""The server of an experiment: what a browser may ask, and who may."""

import asyncio
import hmac
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from starlette.datastructures import MutableHeaders

from metamers.experiment.database import Writer
from metamers.experiment.messages import MOST_BYTES, Begin, Consent, Environment, Events, Finish, Lease, Withdraw
from metamers.experiment.sessions import RefusedError, Row, Sessions, hashed
from metamers.experiment.statements import TOKEN_OF
from metamers.experiment.summary import summary_of, zipped

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from metamers.experiment.opened import Opened

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

PAGE = Path(str(files("metamers.experiment") / "page"))
"""Where the page that participants see is built."""
PAGE_FILES = ("main.js", "admin.js", "style.css", "icon.svg")
COOKIE = "session"
NAME = re.compile(r"[0-9a-f]{32}")
"""Of a session, and of what it is shown."""
PER_SECOND, BURST = 20.0, 120.0
"""Requests that a session may make; media apart."""
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Open(BaseModel):
    """To take a session into a tab: the tab's lease, if it has had it before, and the one that it will have."""

    model_config = {"extra": "forbid", "strict": True}

    lease: str | None = None
    next_lease: Lease | None = None
    environment: Environment | None = None


@dataclass
class Limiter:
    """How fast each may ask: `BURST` at once, `PER_SECOND` in the long run."""

    most: int = 10_000
    _left: "OrderedDict[str, tuple[float, float]]" = field(default_factory=OrderedDict)

    def allows(self, who: str) -> bool:
        """Count one request."""
        now = time.monotonic()
        left, then = self._left.pop(who, (BURST, now))
        left = min(BURST, left + (now - then) * PER_SECOND)
        self._left[who] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > self.most:
            self._left.popitem(last=False)
        return left >= 1


@dataclass
class Desk:
    """What the routes share."""

    folder: Path
    sessions: Sessions
    writer: Writer
    limiter: Limiter = field(default_factory=Limiter)
    _media: "OrderedDict[tuple[str, str], str]" = field(default_factory=OrderedDict)

    async def do(self, request: Request, job: Callable[[Connection, str], T], *, limited: bool = True) -> T:
        """Do a job for the session that the cookie names. Raises RefusedError for an unknown one, and one too fast."""
        session_id, _, token = request.cookies.get(COOKIE, "").partition(".")
        if not NAME.fullmatch(session_id):
            raise RefusedError(404, reason="unknown")
        if limited and not self.limiter.allows(session_id):
            raise RefusedError(429, reason="too_fast")

        def checked(db: Connection) -> T:
            held = db.execute(TOKEN_OF, {"of_session": session_id}).scalar()
            if held is None or not hmac.compare_digest(held, hashed(token)):
                raise RefusedError(404, reason="unknown")
            return job(db, session_id)

        return await asyncio.wrap_future(self.writer.submit(checked))

    async def stimulus(self, request: Request, media: str) -> str:
        """The stimulus behind an address of the session, remembered, as each is asked for again and again."""
        key = request.cookies.get(COOKIE, ""), media
        if not NAME.fullmatch(media):
            raise RefusedError(404, reason="unknown")
        if key not in self._media:
            found = await self.do(
                request, lambda db, session_id: self.sessions.media(db, session_id, media), limited=False
            )
            if found is None:
                raise RefusedError(404, reason="unknown")
            self._media[key] = found
            if len(self._media) > 100_000:
                self._media.popitem(last=False)
        return self._media[key]


def create_app(
    opened: "Opened", sessions: Sessions, writer: Writer, *, secure: bool, admin_token: str | None = None
) -> FastAPI:
    """The application for an experiment. secure: cookies only over TLS. Without an `admin_token` there is nothing for
    researchers."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    desk = Desk(opened.folder, sessions, writer)
    _add_errors(app)
    app.add_middleware(_Headers)
    _add_session_routes(app, desk, secure)
    _add_files(app, desk)
    if admin_token is not None:
        _add_admin(app, opened, hashed(admin_token))
    return app


def _add_session_routes(app: FastAPI, desk: Desk, secure: bool) -> None:
    sessions = desk.sessions

    @app.post("/api/sessions")
    async def begin(request: Request) -> Response:
        message = await _read(request, Begin)
        made = await asyncio.wrap_future(desk.writer.submit(lambda db: sessions.begin(db, message)))
        response = JSONResponse({"begun": True}, status_code=201)
        value = f"{made['session']}.{made['token']}"
        response.set_cookie(COOKIE, value, httponly=True, samesite="lax", secure=secure, max_age=7 * 86400)
        return response

    @app.post("/api/open")
    async def open_(request: Request) -> Response:
        message = await _read(request, Open)

        def job(db: Connection, session_id: str) -> Row:
            told = sessions.open(db, session_id, message.lease, message.environment, message.next_lease)
            design = sessions.design
            return {**told, "experiment": {**design.config.for_page, "labels": design.choices_of(session_id)}}

        return JSONResponse(await desk.do(request, job))

    @app.post("/api/consent")
    async def consent(request: Request) -> Response:
        message = await _read(request, Consent)
        return JSONResponse(await desk.do(request, lambda db, s: sessions.consent(db, s, message)))

    @app.post("/api/events")
    async def events(request: Request) -> Response:
        message = await _read(request, Events)
        return JSONResponse(await desk.do(request, lambda db, s: sessions.take(db, s, message.lease, message.events)))

    @app.post("/api/finish")
    async def finish(request: Request) -> Response:
        message = await _read(request, Finish)
        return JSONResponse(
            await desk.do(request, lambda db, s: sessions.finish(db, s, message.lease, message.last_seq))
        )

    @app.post("/api/withdraw")
    async def withdraw(request: Request) -> Response:
        message = await _read(request, Withdraw)
        return JSONResponse(await desk.do(request, lambda db, s: sessions.withdraw(db, s, message.lease, message.keep)))


def _add_files(app: FastAPI, desk: Desk) -> None:
    for path, name in {"/": "index.html", "/admin": "admin.html", **{f"/{n}": n for n in PAGE_FILES}}.items():
        app.get(path)(_sends(PAGE / name))

    @app.get("/media/{media}")
    async def media(request: Request, media: str) -> Response:
        stimulus = desk.sessions.design.by_id[await desk.stimulus(request, media)]
        # Without the file's time, which would tell in what order files were made.
        content = await asyncio.to_thread((desk.folder / stimulus.file).read_bytes)
        kind = "image/png" if stimulus.file.endswith(".png") else "audio/wav"
        return Response(content, media_type=kind, headers={"Cache-Control": "private, max-age=86400"})


def _sends(path: Path) -> Callable[[], Awaitable[Response]]:
    async def send() -> Response:
        if not path.is_file():
            raise RefusedError(503, reason="no_page")
        return FileResponse(path, headers={"Cache-Control": "no-cache"})

    return send


def _add_admin(app: FastAPI, opened: "Opened", token_hash: str) -> None:
    def require_token(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(token_hash, hashed(given)):
            raise RefusedError(401, reason="token")

    @app.get("/admin/api/summary")
    async def summary(request: Request) -> Row:
        require_token(request)
        return await asyncio.to_thread(summary_of, opened)

    @app.get("/admin/api/data.zip")
    async def data(request: Request) -> Response:
        require_token(request)
        return Response(await asyncio.to_thread(zipped, opened), media_type="application/zip")


@dataclass
class _Headers:
    """Adds the headers to every answer. Written out, as a function given to `app.middleware` would have each request
    done in a task of its own, which takes long."""

    app: "ASGIApp"

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def add(message: "Message") -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, add)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return JSONResponse(error.told, status_code=error.status)

    @app.exception_handler(IntegrityError)
    @app.exception_handler(DataError)
    async def wrong(_: Request, error: SQLAlchemyError) -> Response:
        logging.getLogger("uvicorn.error").error("%s", error)
        return JSONResponse({"reason": "failed"}, status_code=500)

    @app.exception_handler(SQLAlchemyError)
    async def broken(_: Request, __: SQLAlchemyError) -> Response:
        # The disk is full, or the database is locked or gone: what was sent is not kept, and has to be sent again.
        return JSONResponse({"reason": "unavailable"}, status_code=503, headers={"Retry-After": "2"})


async def _read(request: Request, kind: type[M]) -> M:
    """The body as a message. JSON only, so that no form of another site can send one."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RefusedError(415, reason="json_only")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise RefusedError(413, reason="too_large")
    try:
        return kind.model_validate_json(bytes(body))
    except ValidationError as error:
        where = ".".join(map(str, error.errors(include_input=False, include_url=False)[0]["loc"]))
        raise RefusedError(422, reason="malformed", where=where) from None
