"""Whatever is sent to the server: it is refused in order, changes nothing, and tells nothing."""

import asyncio
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.experiment.conftest import asked, write_experiment

from metamers.experiment import server
from metamers.experiment.database import METADATA, Writer
from metamers.experiment.opened import open_experiment
from metamers.experiment.sessions import Sessions

AGREED = {"decision": "agreed", "language": "en", "text_hash": "0" * 64}
LEASE = "0" * 32
JSON = {"content-type": "application/json"}
ANSWER = {"response": "cat", "rt_ms": 9.0, "timing_ok": True, "dropped_frames": 0}
EVENTS = [
    {"seq": 1, "type": "shown", "t_ms": 1.0, "trial": 1},
    {"seq": 2, "type": "answered", "t_ms": 2.0, "trial": 1, "answer": ANSWER},
    {"seq": 3, "type": "form", "t_ms": 2.0, "form": "about", "items": {"age": "30"}},
    {"seq": 4, "type": "error", "t_ms": 2.0, "detail": "x"},
]
MESSAGES = {
    "/api/sessions": {
        "environment": {"dpr": 1.0, "os_family": "x"},
        "recruited": {"source": "prolific", "external_id": "x", "study_ref": "y"},
    },
    "/api/open": {"lease": LEASE, "environment": {"refresh_hz": 60.0}},
    "/api/consent": AGREED,
    "/api/events": {"lease": LEASE, "events": EVENTS},
    "/api/finish": {"lease": LEASE, "last_seq": 0},
    "/api/withdraw": {"lease": LEASE, "keep": True},
}
PATHS = [
    *MESSAGES,
    "/",
    "/admin",
    "/main.js",
    "/media/" + "0" * 32,
    "/media/%00",
    "/media/%ff%fe",
    "/media/..%2f..%2fx",
]
PATHS += ["/admin/api/summary", "/admin/api/data.zip", "/api", "/api/", "/docs", "/openapi.json", "//", "/%00", "/é"]
SECRETS = ("secretnet", "alpha", "omega", "natural", "screening/", "catch", "Traceback", "sqlalchemy", "sqlite", ".py")
LABELED = re.compile(r'"label":|"condition"|"reference"|"stimulus"|"correct"')

ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**30, -(10**400), 2**63, -1, 1_000_001, 1e308, 5e-324, float("nan"), float("inf")])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\x00", "a\x00b", "\ud800", "é" * 300, "x" * 3000, "cat\n", "=1+1", "' OR 1=1 --", "../x", ""])
)
KEY = st.text(max_size=9)
NESTED = st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3))
RAW = (
    st.binary(max_size=60)
    | st.sampled_from([b"", b"{", b"null", b"[]", b'{"a":1,"a":2}', b"\xff\xfe", b'"\\ud800"', b"{}" * 9, b"9" * 5000])
    | st.sampled_from([b"[" * 30_000, b'{"lease":' * 6000, b'{"events":[' + b"[" * 9000 + b"]" * 9000 + b"]}"])
    | st.sampled_from([b" " * 70_000, b'{"lease":"' + b"x" * 70_000 + b'"}'])
)


@st.composite
def changed(draw, message):
    """A message of which something was replaced, taken away or added."""
    copy = json.loads(json.dumps(message))
    at, place = copy, None
    while isinstance(at, dict | list) and at and (place is None or draw(st.booleans())):
        inner = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if place is not None and not isinstance(at[inner], dict | list):
            place = at, inner
            break
        place, at = (at, inner), at[inner]
    if place is None:
        return {draw(KEY): draw(NESTED)}
    holder, key = place
    kind = draw(st.sampled_from(["replace", "remove", "add"]))
    if kind == "remove":
        del holder[key]
    elif kind == "add" and isinstance(holder, dict):
        holder[draw(KEY)] = draw(NESTED)
    else:
        holder[key] = draw(NESTED)
    return copy


def encoded(message):
    return json.dumps(message).encode()


BODIES = st.sampled_from(sorted(MESSAGES)).flatmap(
    lambda path: st.tuples(st.just(path), RAW | NESTED.map(encoded) | changed(MESSAGES[path]).map(encoded))
)


class Fuzzed:
    """A server in this process, with a session that is running, and what its database holds."""

    def __init__(self, app, engine):
        self.app, self.engine = app, engine
        status, given, _ = self.ask("POST", "/api/sessions", encoded(MESSAGES["/api/sessions"]), JSON)
        self.headers = {**JSON, "cookie": given["set-cookie"].partition(";")[0]}
        self.lease = json.loads(self.ask("POST", "/api/open", b"{}", self.headers)[2])["lease"]
        told = self.ask("POST", "/api/consent", encoded(AGREED), self.headers)[2]
        assert status == 201 and json.loads(told)["state"] == "running"

    def ask(self, *request):
        return asyncio.run(asked(self.app, *request))

    def held(self):
        with self.engine.begin() as db:
            return {name: db.execute(select(table)).all() for name, table in METADATA.tables.items()}

    def send(self, method, path, content, headers):
        """Send it; no refusal may change anything or tell anything."""
        before = self.held()
        status, given, body = self.ask(method, path, content, headers)
        text = body.decode()
        assert status < 500 or (status, text) == (503, '{"reason":"no_page"}'), (status, text)
        if status >= 400:
            assert self.held() == before
        if not given.get("content-type", "").startswith(("text/html", "text/javascript")):
            text += str(given)
            assert not [secret for secret in SECRETS if secret in text], text
            assert not LABELED.search(text), text
        return status


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    opened = open_experiment(write_experiment(tmp_path_factory.mktemp("fuzz") / "exp"))
    writer = Writer(opened.engine)
    sessions = Sessions(opened.design, opened.hash, "live", b"k" * 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "BURST", 1e9)
        yield Fuzzed(server.create_app(opened, sessions, writer, secure=False, admin_token="t" * 32), opened.engine)
    writer.close()
    opened.engine.dispose()


MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@MANY
@given(BODIES)
def test_no_message_is_too_odd(fuzzed, sent):
    path, content = sent
    if path != "/api/withdraw":  # which would be the end of it
        content = content.replace(LEASE.encode(), fuzzed.lease.encode())
    fuzzed.send("POST", path, content, fuzzed.headers)


@MANY
@given(
    st.sampled_from(["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "POST", "BREW"]),
    st.sampled_from(PATHS) | st.text("abc/%.0?#=&;é", max_size=30).map("/".__add__),
    st.sampled_from(["application/json", "text/plain", "application/x-www-form-urlencoded", "", "a/b; c=", "é"]),
    st.sampled_from(["", "session=", "session=x", "session=.", "session=" + "0" * 32, "session=" + "0" * 32 + ".x"])
    | st.sampled_from(["session=%00.%00", 'session="', "=;=;session", "session=é.é", "session=" + "f" * 9000, "x=1"]),
    st.sampled_from(["", "Bearer", "Bearer x", "é", "Basic eDp4"]),
)
def test_no_route_method_cookie_or_type_is_too_odd(fuzzed, method, path, kind, cookie, authorization):
    headers = {"content-type": kind, "cookie": cookie, "authorization": authorization}
    status = fuzzed.send(method, path, b"{}", headers)
    if path.startswith(("/api/open", "/media", "/admin/api")):
        assert status >= 400
