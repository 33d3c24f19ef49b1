"""A server that keeps the contract, but for one fault: `python faulty.py PORT FAULT HOST`.

It is what an ordinary container might hold: it takes numbers as JSON, CSV and JSON Lines, answers sums.
"""

import json
import math
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

JSON, CSV, LINES = "application/json", "text/csv", "application/jsonlines"
KNOWN = {
    "application/octet-stream": JSON,
    "application/x-ndjson": LINES,
    **{name: name for name in (JSON, CSV, LINES)},
}
METRICS = '# TYPE requests_total counter\nrequests_total{route="/ping"} 1 1700000000\nseconds_sum 0.5e-3\n'
MODELS: dict[str, str] = {}
LOCK = threading.Lock()
BUSY = threading.BoundedSemaphore(8)


class RefusalError(Exception):
    def __init__(self, status: int, text: str = "refused") -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fault = ""
    calls = 0
    busy_until = 0.0
    fillers: list[socket.socket] = []  # noqa: RUF012  # of all requests together

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        super().handle_one_request()
        if self.fault == "drops-connections":
            self.close_connection = True

    def do_GET(self) -> None:
        self.route("GET")

    def do_POST(self) -> None:
        self.route("POST")

    def do_DELETE(self) -> None:
        self.route("DELETE")

    def route(self, method: str) -> None:
        body = self.read_body()
        if body is None:
            return
        path = urlsplit(self.path)
        try:
            if self.fault == "host-list" and self.headers["Host"].startswith("model.aws"):
                raise RefusalError(400)  # noqa: TRY301  # answered below
            if path.path == "/ping":
                self.ping(method)
            elif path.path == "/invocations" and method == "POST":
                self.invocations(body)
            elif path.path == "/metrics":
                text = "requests 1 2 3\n" if self.fault == "bad-metrics" else METRICS
                kind = "" if self.fault == "untyped-metrics" else "text/plain; version=0.0.4"
                self.say(200, text.encode(), kind)
            elif path.path == "/execution-parameters" and self.fault != "catches-parameters":
                self.execution_parameters()
            elif path.path.startswith("/models"):
                self.models(method, path, body)
            else:
                is_caught = self.fault in {"catch-all", "catches-parameters", "caught-parameters"}
                self.say(200 if is_caught else 404, b"{}", JSON)
        except RefusalError as exc:
            self.say(exc.status, json.dumps({"error": exc.text}).encode(), JSON)

    def read_body(self) -> bytes | None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            if self.fault == "no-chunks":
                self.close_connection = True
                self.say(411, b"{}", JSON)
                return None
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        length = int(self.headers.get("Content-Length", "0"))
        if self.fault == "small-limit" and length > 3_000_000:
            self.close_connection = True
            self.say(413, b"{}", JSON)
            return None
        return self.rfile.read(length)

    def ping(self, method: str) -> None:
        if self.fault == "ping-500":
            raise RefusalError(500)
        if self.fault == "ping-404":
            raise RefusalError(404)
        if self.fault == "slow-ping":
            time.sleep(2.2)
        if self.fault == "get-only" and method == "POST":
            raise RefusalError(405)
        self.say(200, b"")

    def invocations(self, body: bytes) -> None:
        if self.fault == "no-invocations":
            raise RefusalError(404)
        if self.fault == "one-at-a-time" and len(body) > 10_000:
            time.sleep(0.9)
        if self.fault == "slow-accept" and len(body) > 10_000:
            self.stop_accepting()
        if self.fault == "few-at-once":
            if not BUSY.acquire(blocking=False):
                raise RefusalError(503)
            try:
                time.sleep(0.2)
                self.answer(body)
            finally:
                BUSY.release()
            return
        self.answer(body)

    def answer(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.fault == "unknown-headers" and "x-conformance-1" in headers:
            raise RefusalError(400)
        if self.fault == "api-headers" and "x-amzn-sagemaker-inference-id" in headers:
            raise RefusalError(400)
        kind = self.kind(headers.get("content-type"))
        if self.fault == "slow-large" and len(body) > 5_000_000:
            time.sleep(2.5)
        accept = self.accept(headers.get("accept"), kind)
        sums = self.sums(body, kind)
        if self.fault == "loses-records" and len(sums) > 100:
            sums = sums[1:]
        if self.fault == "doubles-one" and len(sums) == 1:
            sums = sums * 2
        if self.fault == "headers-count" and "x-conformance-1" in headers:
            sums = [value + 1 for value in sums]
        self.count_call()
        self.say(200, self.written(sums, accept), self.said_type(accept), self.attributes(headers))

    def kind(self, content_type: str | None) -> str:
        if content_type is None:
            if self.fault == "needs-type":
                raise RefusalError(500)
            return JSON
        plain = content_type if self.fault == "exact-type" else content_type.partition(";")[0].strip().lower()
        if self.fault == "octets-crash" and plain == "application/octet-stream":
            raise RefusalError(500)
        if plain not in KNOWN:
            raise RefusalError(415)
        return KNOWN[plain]

    def accept(self, accept: str | None, kind: str) -> str:
        if self.fault == "no-wildcard" and accept == "*/*":
            raise RefusalError(406)
        if self.fault == "ignores-accept":
            return kind
        if self.fault == "no-join" and accept == CSV:
            return JSON
        if accept is None:
            return kind
        for entry in accept.split(","):
            plain = entry.partition(";")[0].strip()
            if plain == "*/*":
                return kind
            if plain in KNOWN:
                return KNOWN[plain]
        raise RefusalError(406)

    def sums(self, body: bytes, kind: str) -> list[float]:
        try:
            if kind == CSV:
                if self.fault == "lf-only" and b"\r" in body:
                    raise ValueError("\\r")  # noqa: TRY301  # answered below
                rows = [
                    [float(cell) for cell in line.split(",")]
                    for line in body.decode().splitlines()
                    if line.strip()
                ]
            elif kind == LINES:
                rows = [json.loads(line) for line in body.splitlines() if line.strip()]
            else:
                rows = self.document(body)
            if len({len(row) for row in rows}) > 1:
                raise ValueError("ragged")  # noqa: TRY301  # answered below
            return [math.fsum(row) for row in rows]
        except (ValueError, TypeError, AttributeError) as exc:
            raise self.refusal(body) from exc

    def refusal(self, body: bytes) -> RefusalError:
        """Return the answer to what cannot be read; the bad record of C56 is a case of its own."""
        match self.fault, b"not-a-value" in body:
            case "trace", False:
                return RefusalError(500, 'Traceback (most recent call last):\n  File "app.py", line 1')
            case "long-errors", _:
                return RefusalError(400, "x" * 5000)
            case ("mistakes-are-500", False) | ("bad-row-500", True):
                return RefusalError(500, "oops")
            case ("errors-are-200", False) | ("bad-row-200" | "uncounted", True):
                return RefusalError(200)
            case _:
                return RefusalError(400, "no numbers")

    def document(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError:
            if self.fault == "one-document":
                raise
            return [json.loads(line) for line in body.splitlines() if line.strip()]

    def written(self, sums: list[float], accept: str) -> bytes:
        if self.fault == "uncounted":
            return json.dumps({"total": sum(sums)}).encode()
        if accept == JSON:
            return json.dumps(sums).encode()
        text = "".join(f"{value}\n" for value in sums)
        return (text.rstrip("\n") if self.fault == "no-last-newline" else text).encode()

    def said_type(self, accept: str) -> str:
        if self.fault == "uncounted":
            return JSON
        if self.fault == "charset" and accept == CSV:
            return "text/csv; charset=utf-8"
        if self.fault == "two-types" and accept == JSON and Handler.calls % 2:
            return "application/json; charset=utf-8"
        return accept

    def stop_accepting(self) -> None:
        """Accept nothing for a while, with a full queue: the system then drops what else comes."""
        assert isinstance(self.server, HTTPServer)
        with LOCK:
            if time.monotonic() < Handler.busy_until + 0.3:
                return
            Handler.busy_until = time.monotonic() + 0.7
            self.server.socket.listen(0)
            for _ in range(3):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", self.server.server_port))
                Handler.fillers.append(filler)

    def count_call(self) -> None:
        with LOCK:
            Handler.calls += 1

    def attributes(self, headers: dict[str, str]) -> dict[str, str]:
        value = headers.get("x-amzn-sagemaker-custom-attributes")
        if value is None:
            return {}
        if self.fault == "echoes-all":
            return {"X-Amzn-SageMaker-Custom-Attributes": value}
        return {"X-Amzn-SageMaker-Custom-Attributes": "".join(sign for sign in value if " " <= sign <= "~")}

    def execution_parameters(self) -> None:
        document: dict[str, object] = {
            "MaxConcurrentTransforms": 2,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": 6,
        }
        if self.fault in {"text-parameters", "caught-parameters"}:
            document["MaxPayloadInMB"] = "6"
        if self.fault == "empty-parameters":
            document = {}
        if self.fault == "odd-strategy":
            document["BatchStrategy"] = "multi"
        self.say(200, json.dumps(document).encode(), JSON)

    def models(self, method: str, path: SplitResult, body: bytes) -> None:
        name = path.path.removeprefix("/models").removeprefix("/").removesuffix("/invoke")
        if self.fault == "no-models":
            raise RefusalError(404)
        if name and name not in MODELS:
            raise RefusalError(404)
        if path.path.endswith("/invoke"):
            self.answer(body)
        elif method == "POST":
            asked = json.loads(body)
            if asked["model_name"] in MODELS and self.fault != "no-conflict":
                raise RefusalError(409)
            MODELS[asked["model_name"]] = asked["url"]
            self.say(200, b"{}", JSON)
        elif method == "DELETE":
            if self.fault != "never-unloads":
                del MODELS[name]
            self.say(200, b"{}", JSON)
        elif name:
            self.say(200, json.dumps({"modelName": name, "modelUrl": MODELS[name]}).encode(), JSON)
        else:
            names = sorted(MODELS)
            begin = int(parse_qs(path.query).get("next_page_token", ["0"])[0])
            page: dict[str, object] = {
                "models": [{"modelName": name, "modelUrl": MODELS[name]} for name in names[begin : begin + 1]]
            }
            if begin + 1 < len(names) and self.fault != "one-page":
                page["nextPageToken"] = str(begin + 1)
            self.say(200, json.dumps(page).encode(), JSON)

    def say(
        self, status: int, body: bytes, content_type: str = "", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        if content_type and self.fault != "no-types":
            self.send_header("Content-Type", content_type)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def get_request(self) -> tuple[socket.socket, Any]:
        time.sleep(max(0.0, Handler.busy_until - time.monotonic()))
        if Handler.fillers:
            self.socket.listen(128)
            while Handler.fillers:
                Handler.fillers.pop().close()
        return super().get_request()


class OneAtATime(HTTPServer):
    request_queue_size = 128


def main(port: int, fault: str = "", host: str = "0.0.0.0") -> None:
    Handler.fault = fault
    kind: type[HTTPServer] = OneAtATime if fault == "one-at-a-time" else Server
    server = kind((host, port), Handler)
    print(f"listening on {server.server_port}", flush=True)  # noqa: T201  # the test reads it
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
