"""A stand-in for S3 that lists and reads the files of one bucket."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

MODIFIED = "Sat, 28 Nov 2026 12:00:00 GMT"
ENTRY = "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2026-11-28T12:00:00.000Z</LastModified></Contents>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, with_body):
        url = urlsplit(self.path)
        key = unquote(url.path).removeprefix("/bucket/")
        files = self.server.files
        if url.path == "/bucket":
            prefix = parse_qs(url.query).get("prefix", [""])[0]
            found = [ENTRY.format(name, len(content)) for name, content in files.items() if name.startswith(prefix)]
            listing = f"<ListBucketResult><KeyCount>{len(found)}</KeyCount>{''.join(found)}</ListBucketResult>"
            self._send(200, listing.encode(), {})
        elif key in files:
            content, given = files[key], self.headers.get("Range")
            if given is None:
                self._send(200, content, {}, with_body)
                return
            first, last = given.removeprefix("bytes=").split("-")
            part = content[int(first) : int(last) + 1]
            self._send(206, part, {"Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"})
        else:
            self._send(404, b"", {})

    def _send(self, status, body, headers, with_body=True):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), "Last-Modified": MODIFIED, "ETag": '"1"', **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@contextmanager
def s3_server(files):
    """Serve files, bytes by name; gives what makes an address `s3://bucket/NAME` reach them."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.files = files
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"?endpoint_override=127.0.0.1:{server.server_port}&scheme=http"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
