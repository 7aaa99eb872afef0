"""The server, over HTTP."""

import json
import signal

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from tests.experiment.conftest import LABELS, free_port, rows, serving, wait_for, write_experiment

from metamers.errors import MetamersError
from metamers.experiment import server
from metamers.experiment.database import EVENT, RESPONSE, SESSION, Writer, connect
from metamers.experiment.export import export
from metamers.experiment.jatos import write_archive
from metamers.experiment.opened import open_experiment
from metamers.experiment.serving import admin_token, bound, served

AGREED = {"decision": "agreed", "language": "en", "text_hash": "0" * 64}
SECRETS = ("secretnet", "alpha", "omega", "natural", "catch", '"r0"', '"r5"')


@pytest.fixture
def url(experiment):
    with served(open_experiment(experiment), "live") as address:
        yield address


@pytest.fixture
def browser(url):
    with httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def begun(browser):
    assert browser.post("/api/sessions", json={}).status_code == 201
    lease = browser.post("/api/open", json={}).json()["lease"]
    return lease, browser.post("/api/consent", json=AGREED).json()["trials"]


def pair(seq, trial, response="cat"):
    at = {"t_ms": 1.0, "trial": trial}
    return [
        {"seq": seq, "type": "shown", **at},
        {"seq": seq + 1, "type": "answered", **at, "answer": {"response": response, "rt_ms": 400.0}},
    ]


def test_nothing_tells_the_answer_before_it_is_given(browser):
    seen = [browser.post("/api/sessions", json={}), browser.post("/api/open", json={})]
    lease = seen[-1].json()["lease"]
    seen.append(browser.post("/api/consent", json=AGREED))
    trials = seen[-1].json()["trials"]
    for number, trial in enumerate(trials[:6]):
        seen.append(browser.get(f"/media/{trial['media']}"))
        assert not {"last-modified", "etag"} & seen[-1].headers.keys()  # when a file was made tells what it is
        events = pair(2 * number + 1, trial["trial"])
        seen.append(browser.post("/api/events", json={"lease": lease, "events": events[:1]}))
        if trial["phase"] != "practice":
            seen.append(browser.post("/api/events", json={"lease": lease, "events": events[1:]}))
        else:
            told = browser.post("/api/events", json={"lease": lease, "events": events[1:]}).json()
            assert list(told["feedback"]) == [str(trial["trial"])]
    for response in seen:
        text = json.dumps(dict(response.headers)) + str(response.url)
        if "image" not in response.headers["content-type"]:
            text += response.text
        assert not [secret for secret in SECRETS if secret in text], text


def test_each_session_may_have_its_own_order_of_choices(tmp_path):
    folder = write_experiment(tmp_path / "exp", choice_order="per_session")
    orders = []
    with served(open_experiment(folder), "live") as url:
        for _ in range(8):
            with httpx.Client(base_url=url, trust_env=False) as browser:
                browser.post("/api/sessions", json={})
                first = browser.post("/api/open", json={}).json()
                again = browser.post("/api/open", json={"lease": first["lease"]}).json()
                assert again["experiment"]["labels"] == first["experiment"]["labels"]
                orders.append(first["experiment"]["labels"])
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(LABELS))} and len(set(map(tuple, orders))) > 1
    export(open_experiment(folder), tmp_path / "data")
    assert [json.loads(row["choices"]) for row in rows(tmp_path / "data" / "sessions.csv")] == orders
    with pytest.raises(MetamersError, match="choice_order per_session is for our own server"):
        write_archive(folder, tmp_path / "study.jzip", 2)


def test_media_are_of_one_session_only(browser, url):
    _, trials = begun(browser)
    address = f"/media/{trials[0]['media']}"
    assert browser.get(address).headers["content-type"] == "image/png"
    with httpx.Client(base_url=url, trust_env=False) as other:
        begun(other)
        assert other.get(address).status_code == 404
    for name in ("../experiment.yaml", "%2e%2e%2fexperiment.yaml", "0" * 32, "x" * 5000):
        assert browser.get(f"/media/{name}").status_code == 404


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"x" * 70_000, {"content-type": "application/json"}, 413),
        (b"not json", {"content-type": "application/json"}, 422),
        (b'{"lease": "0", "events": []}', {"content-type": "application/json"}, 422),
        (b'{"lease": "' + b"0" * 32 + b'", "events": [{"seq": 1}]}', {"content-type": "application/json"}, 422),
    ],
)
def test_a_malformed_request_changes_nothing(browser, experiment, content, headers, status):
    begun(browser)
    assert browser.post("/api/events", content=content, headers=headers).status_code == status
    with connect(str(experiment / "data.sqlite")).begin() as db:
        assert not db.execute(select(EVENT)).all()


@pytest.mark.parametrize("t_ms", [-1, 1e300, "1", None])
def test_numbers_are_bounded(browser, t_ms):
    lease, _ = begun(browser)
    event = {"seq": 1, "type": "blur", "t_ms": t_ms}
    answer = browser.post("/api/events", json={"lease": lease, "events": [event]})
    assert answer.status_code == 422 and answer.json()["where"] == "events.0.t_ms"


@pytest.mark.parametrize("cookie", [None, "x", "0" * 32 + ".x"])
def test_a_session_is_known_by_its_cookie_only(browser, cookie):
    begun(browser)
    own = browser.cookies["session"]
    browser.cookies.clear()
    headers = {} if cookie is None else {"cookie": f"session={cookie}"}
    for path, message in (
        ("/api/open", {}),
        ("/api/finish", {"lease": "0" * 32, "last_seq": 0}),
        ("/api/consent", AGREED),
    ):
        assert browser.post(path, json=message, headers=headers).status_code == 404
    stolen = own.partition(".")[0] + ".guess"
    assert browser.post("/api/open", json={}, headers={"cookie": f"session={stolen}"}).status_code == 404


def test_every_answer_has_the_headers_that_keep_a_page_to_itself(browser):
    answer = browser.post("/api/sessions", json={})
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"
    assert "httponly" in answer.headers["set-cookie"].lower() and "samesite=lax" in answer.headers["set-cookie"].lower()
    assert "server" not in answer.headers


def test_who_asks_too_fast_is_told(browser, monkeypatch):
    lease, trials = begun(browser)
    monkeypatch.setattr(server, "BURST", 3.0)
    monkeypatch.setattr(server, "PER_SECOND", 0.0)
    codes = [browser.post("/api/finish", json={"lease": lease, "last_seq": 0}).status_code for _ in range(5)]
    assert {browser.get(f"/media/{trial['media']}").status_code for trial in trials} == {200}  # media apart
    assert codes == [409, 409, 409, 429, 429]


def test_what_a_full_disk_refuses_is_not_acknowledged(browser, monkeypatch):
    lease, trials = begun(browser)
    events = {"lease": lease, "events": pair(1, trials[0]["trial"])}

    def full(self, group):
        for _, future in group:
            future.set_exception(OperationalError("INSERT", {}, Exception("database or disk is full")))

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_commit", full)
        refused = browser.post("/api/events", json=events)
    assert refused.status_code == 503 and refused.headers["retry-after"]
    assert browser.post("/api/events", json=events).json()["ack"] == 2


def test_researchers_need_their_token(experiment):
    path, token = admin_token(experiment)
    assert path.stat().st_mode & 0o777 == 0o600 and admin_token(experiment) == (path, token)
    with serving(experiment, 0) as (url, _):
        assert httpx.get(f"{url}/admin/api/summary", trust_env=False).status_code == 401
        given = httpx.get(f"{url}/admin/api/summary", headers={"authorization": f"Bearer {token}"}, trust_env=False)
        assert given.json()["sessions"] == {}
        assert httpx.get(f"{url}/admin/api/data.zip", trust_env=False).status_code == 401


def test_a_killed_server_loses_nothing_that_it_acknowledged(experiment):
    port = free_port()
    acknowledged = 0
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as browser:
        for round_ in range(3):
            with serving(experiment, port) as (url, process):
                wait_for(url)
                if round_ == 0:
                    lease, trials = begun(browser)
                for trial in trials[4 * round_ : 4 * round_ + 4]:
                    seq = 2 * trial["trial"] - 1
                    events = {"lease": lease, "events": pair(seq, trial["trial"], "sun")}
                    events["events"][1]["answer"]["response"] = label_of(experiment, browser, trial)
                    assert browser.post("/api/events", json=events).json()["ack"] == seq + 1
                    assert browser.post("/api/events", json=events).json()["ack"] == seq + 1
                    acknowledged = seq + 1
                process.send_signal(signal.SIGKILL)
    with connect(str(experiment / "data.sqlite")).begin() as db:
        assert [row.seq for row in db.execute(select(EVENT).order_by(EVENT.c.seq))] == list(range(1, acknowledged + 1))
        assert len(db.execute(select(RESPONSE)).all()) == acknowledged // 2
        assert db.execute(select(SESSION.c.last_seq)).scalar() == acknowledged


def label_of(experiment, browser, trial):
    from hashlib import sha256

    digest = sha256(browser.get(f"/media/{trial['media']}").content).hexdigest()
    return next(s.label for s in open_experiment(experiment).design.stimuli if s.sha256 == digest)


def test_a_server_ends_well_when_it_is_interrupted(experiment):
    with serving(experiment, free_port()) as (url, process):
        wait_for(url)
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in complaints
    assert said.splitlines()[-1] == "ended; who was taking part goes on once it is served again"


def test_no_empty_token_opens_the_data(experiment):
    (experiment / "admin-token").write_text("")
    with pytest.raises(MetamersError, match="holds no token"):
        admin_token(experiment)


def test_serving_others_needs_tls():
    with pytest.raises(MetamersError, match="public-url"):
        bound("0.0.0.0", 0, "http://example.org")
    bound("0.0.0.0", 0, "https://example.org").close()
    with bound("127.0.0.1", 0, None) as taken, pytest.raises(MetamersError, match="choose another --port"):
        bound("127.0.0.1", taken.getsockname()[1], None)
