"""A generation server for tests: real HTTP, the OpenAI protocol, and a script of what to say."""

import json
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Steps of a script besides texts.
DIE = object()  # cut the connection in the middle
ERROR = object()  # say 'error' inside the stream, unescaped as transformers serve does

Script = Callable[[dict], list]


class Gate:
    """Holds a script until the test opens it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reached = threading.Event()

    def open(self) -> None:
        self._event.set()

    def is_open(self, seconds: float) -> bool:
        return self._event.wait(seconds)


class EngineDouble:
    """`script(body)` gives the steps of an answer: texts, Gates, DIE or ERROR."""

    def __init__(self) -> None:
        self.script: Script = lambda body: ["Hello", " there", "."]
        self.requests: list[dict] = []
        self.loads: list[str] = []
        self.left = threading.Event()  # set when a client went away before the end
        self.status = 200  # of chat requests; others are refused with it
        self.is_vllm = False
        self.adapters: list[str] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args) -> None:
                pass

            def do_GET(self) -> None:
                if self.path == "/health":
                    self._json({"status": "ok"})
                elif self.path == "/version" and double.is_vllm:
                    self._json({"version": "0"})
                elif self.path == "/v1/models":
                    self._json({"data": [{"id": name} for name in double.adapters]})
                else:
                    self._json({"detail": "Not Found"}, 404)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/load_model":
                    double.loads.append(body["model"])
                    self._stream([f"data: {json.dumps({'status': 'ready'})}\n\n"])
                elif self.path == "/v1/load_lora_adapter":
                    double.adapters.append(body["lora_name"])
                    self._json({"ok": True})
                elif self.path == "/v1/unload_lora_adapter":
                    double.adapters.remove(body["lora_name"])
                    self._json({"ok": True})
                else:
                    double.requests.append(body)
                    if double.status != 200:
                        self._json({"detail": "no"}, double.status)
                    else:
                        self._answer(body)

            def _answer(self, body: dict) -> None:
                self._begin()
                said = 0
                for step in double.script(body):
                    if isinstance(step, Gate):
                        if not self._held(step):
                            return
                    elif step is DIE:
                        self.connection.close()
                        self.close_connection = True
                        return
                    elif step is ERROR:
                        self._chunk('data: {"error": "it said "no""}\n\n')
                        self._chunk("")
                        return
                    else:
                        said += 1
                        self._event({"choices": [{"delta": {"content": step}, "index": 0}]})
                usage = {"prompt_tokens": 7, "completion_tokens": said, "total_tokens": 7 + said}
                end = {"delta": {}, "index": 0, "finish_reason": "stop"}
                self._event({"choices": [end], "usage": usage})
                self._chunk("data: [DONE]\n\n")
                self._chunk("")

            def _held(self, gate: Gate) -> bool:
                gate.reached.set()
                while not gate.is_open(0.01):
                    if select.select([self.connection], [], [], 0)[0]:
                        double.left.set()  # the only thing a waiting client sends is its leaving
                        self.close_connection = True
                        return False
                return True

            def _event(self, body: dict) -> None:
                self._chunk(f"data: {json.dumps(body)}\n\n")

            def _stream(self, lines: list[str]) -> None:
                self._begin()
                for line in lines:
                    self._chunk(line)
                self._chunk("")

            def _begin(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()

            def _chunk(self, text: str) -> None:
                raw = text.encode()
                try:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(raw), raw))
                    self.wfile.flush()
                except OSError:
                    double.left.set()
                    self.close_connection = True

            def _json(self, body: dict, status: int = 200) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def says(self, *steps) -> None:
        """Answer every request with these steps."""
        self.script = lambda body: list(steps)

    @contextmanager
    def serving(self) -> Iterator["EngineDouble"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
