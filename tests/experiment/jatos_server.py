"""A stand-in for a JATOS server: it serves a study as JATOS does, with a jatos.js of its own that keeps to the
documented calls, and fails now and then."""

import json
import random
import threading
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

START = "/publix/code/component/"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"}
TYPES |= {".png": "image/png", ".wav": "audio/wav"}
SCRIPT = """
var jatos = {};
(() => {
  const id = new URLSearchParams(location.search).get("srid");
  let session = { data: {}, version: null };
  let sending = false;
  const ask = async (what, message) => {
    const reply = await fetch("jatos/" + what, { method: "POST", body: JSON.stringify({ id, ...message }) });
    if (!reply.ok) throw "JATOS server not responding";
    return reply.json();
  };
  // As jQuery's promises, which the older versions give: they can be waited for, and no more.
  const given = (promise) => ({ then: (done, failed) => void promise.then(done, failed) });
  const append = async (text) => {
    if (sending) throw "Can send only one result data at a time";
    sending = true;
    try {
      await ask("append", { text });
    } finally {
      sending = false;
    }
  };
  const set = async (name, value) => {
    const told = await ask("batch", { version: session.version, name, value });
    session = told.session;
    if (!told.taken) throw "Session update failed";
  };
  const end = (what, message) => given(ask("end", { what, message }));
  jatos.studyResultId = id;
  jatos.batchSession = {
    get: (name) => structuredClone(session.data[name]),
    set: (name, value) => given(set(name, value)),
  };
  jatos.onLoad = (callback) => ask("batch", {}).then((told) => { session = told.session; callback(); });
  jatos.appendResultData = (text) => given(append(text));
  jatos.endStudy = async (successful) => {
    await ask("end", { what: "end", message: successful });
    location.assign("end.html");
  };
  jatos.endStudyAjax = (successful, message) => end("end", message);
  jatos.abortStudyAjax = (message) => end("abort", message);
})();
"""


class Jatos:
    """What the server holds. `faults` is how often a request to it fails, half of these after it was done."""

    def __init__(self, study: Path, seed: int, faults: float) -> None:
        self.study, self.faults = study, faults
        self.version = 1
        self.batch: dict[str, Any] = {}
        self.results: defaultdict[str, str] = defaultdict(str)
        self.ended: dict[str, tuple[str, Any]] = {}
        self.refused = 0
        self._rng, self._lock = random.Random(seed), threading.Lock()

    def text(self) -> str:
        """All results, as JATOS exports them."""
        return "".join(f"{text}\n" for text in self.results.values() if text)

    def answer(self, what, message):
        """The reply to a request; None where it is lost."""
        with self._lock:
            loads = what == "batch" and "name" not in message  # which jatos.js tries again by itself
            fails, before = self._rng.random() < self.faults and not loads, self._rng.random() < 0.5
            if fails and before:
                return None
            reply = getattr(self, f"_{what}")(**message)
            return None if fails else reply

    def _append(self, id, text):
        assert id not in self.ended
        self.results[id] += text
        return {}

    def _batch(self, id, version=None, name=None, value=None):
        taken = version == self.version
        if taken:
            self.batch[name], self.version = value, self.version + 1
        self.refused += name is not None and not taken
        return {"taken": taken, "session": {"data": self.batch, "version": self.version}}

    def _end(self, id, what, message):
        self.ended[id] = (what, message)
        if what == "abort":
            self.results.pop(id, None)
        return {}


@contextmanager
def on_jatos(study, seed=0, faults=0.0):
    """Serve a study meanwhile: the address at which it starts, and what the server holds."""
    jatos = Jatos(study, seed, faults)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = urlsplit(self.path).path.removeprefix(START)
            path = study / ("index.html" if name == "start" else name)
            if name == "jatos.js":
                return self._reply(200, SCRIPT.encode(), ".js")
            if name == "jatos/peek":
                return self._reply(200, json.dumps(jatos.ended).encode(), ".json")
            if name == "end.html":
                return self._reply(200, b"<title>End</title><p>The end page of JATOS", ".html")
            if not self.path.startswith(START) or not path.is_file():
                return self._reply(404, b"", ".html")
            return self._reply(200, path.read_bytes(), path.suffix)

        def do_POST(self):
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = jatos.answer(self.path.removeprefix(f"{START}jatos/"), message)
            self._reply(500 if reply is None else 200, json.dumps(reply).encode(), ".json")

        def _reply(self, status, content, suffix):
            self.send_response(status)
            self.send_header("Content-Type", TYPES[suffix])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", jatos
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
