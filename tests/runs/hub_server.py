"""A stand-in of the Hugging Face hub: the endpoints that huggingface_hub calls, with repositories in memory.

Model files are stored as large files, behind a redirect, as on the hub. Tokens: `owner-token` may write to the
repositories of `owner`, `reader-token` may read the public ones.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import yaml
from huggingface_hub import constants, file_download

USERS = {"Bearer owner-token": "owner", "Bearer reader-token": "reader"}
REPOSITORY = r"(?P<repository>[^/]+/[^/]+)"


@dataclass
class Repository:
    """Branches are commits by name; a commit holds the content of each file."""

    is_private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        before = self.commits.get(self.branches.get(branch, ""), {})
        digest = hashlib.sha1(repr((len(self.commits), branch)).encode()).hexdigest()
        self.commits[digest] = {**before, **files}
        self.branches[branch] = digest
        return digest


class Hub:
    """What the server holds, and what it was asked for.

    Attributes:
        requests: the method and path of each.
        is_broken: large files end in the middle, and the connection with them.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.is_broken = False
        self.url = ""

    def add(self, name: str, files: dict[str, bytes], *, is_private: bool = False) -> Repository:
        repository = self.repositories[name] = Repository(is_private)
        repository.commit("main", files)
        return repository

    def files(self, name: str, branch: str = "main") -> dict[str, bytes]:
        repository = self.repositories[name]
        return repository.commits[repository.branches[branch]]

    def downloads(self) -> list[str]:
        return [each for each in self.requests if each.startswith("GET /large/")]


@contextmanager
def serving() -> Iterator[Hub]:
    """A running server on a free port."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def local_hub(monkeypatch, cache: Path) -> Iterator[Hub]:
    """A hub that huggingface_hub uses in this process, with an empty cache and the token of `owner`."""
    with serving() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)  # before 1.0
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)  # large files by HTTP
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # between attempts
        monkeypatch.setenv("HF_TOKEN", "owner-token")
        yield server


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        pass

    def do_HEAD(self):
        self._route("HEAD")

    def do_GET(self):
        self._route("GET")

    def do_POST(self):
        self._route("POST")

    def do_PUT(self):
        self._route("PUT")

    def _route(self, method: str) -> None:
        path = urlsplit(self.path).path
        self.hub.requests.append(f"{method} {path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for pattern, methods, answer in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method in methods:
                answer(self, **{name: unquote(value) for name, value in match.groupdict().items() if value})
                return
        self._fail(404, "NotFound", f"{method} {path}: unknown endpoint")

    @property
    def user(self) -> str | None:
        return USERS.get(self.headers.get("Authorization", ""))

    def _send(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, content: object, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), Content_Type="application/json")

    def _fail(self, status: int, code: str, message: str) -> None:
        headers = {"X_Error_Code": code, "X_Error_Message": message, "Content_Type": "application/json"}
        self._send(status, json.dumps({"error": message}).encode(), **headers)

    def _readable(self, name: str) -> Repository | None:
        """The repository; None, and an answer was sent, if the user may not know that it exists."""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.is_private and self.user != name.split("/")[0]):
            self._fail(404 if self.user else 401, "RepoNotFound", "Repository not found")
            return None
        return repository

    def _may_write(self, name: str) -> bool:
        if self.user is None:
            self._fail(401, "", "Invalid username or password.")
        elif self.user != name.split("/")[0]:
            self._fail(403, "", f"You don't have the rights to write to {name}")
        return self.user == name.split("/")[0]

    def create(self) -> None:
        wanted = json.loads(self.body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if not self._may_write(name):
            return
        status = 409 if name in self.hub.repositories else 200
        if status == 200:
            is_private = wanted.get("visibility") == "private" or wanted.get("private") is True
            self.hub.add(name, {".gitattributes": b"*.safetensors filter=lfs"}, is_private=is_private)
        self._json({"url": f"{self.hub.url}/{name}", "name": name}, status)

    def info(self, repository: str, revision: str = "main") -> None:
        found = self._readable(repository)
        if found is not None:
            self._json({"id": repository, "private": found.is_private, "sha": found.branches[revision]})

    def validate(self) -> None:
        _, text, _ = json.loads(self.body)["content"].split("---\n", 2)
        try:
            metadata = yaml.safe_load(text)
        except yaml.YAMLError as error:
            self._json({"errors": [{"message": str(error)}], "warnings": []}, 400)
            return
        self._json({"errors": [] if isinstance(metadata, dict) else [{"message": "no mapping"}], "warnings": []})

    def branch(self, repository: str, branch: str) -> None:
        if self._may_write(repository):
            found = self.hub.repositories[repository]
            status = 409 if branch in found.branches else 200
            found.branches.setdefault(branch, found.branches["main"])
            self._json({}, status)

    def preupload(self, repository: str, revision: str) -> None:
        if not self._may_write(repository):
            return
        files = self.hub.files(repository, revision)
        modes = []
        for each in json.loads(self.body)["files"]:
            path, is_large = each["path"], each["path"].endswith(".safetensors")
            oid = (_sha256 if is_large else _git_hash)(files[path]) if path in files else None
            mode = {"path": path, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}
            modes.append({**mode, **({"oid": oid} if oid else {})})
        self._json({"files": modes})

    def large_batch(self, repository: str) -> None:
        if not self._may_write(repository):
            return
        objects = []
        for each in json.loads(self.body)["objects"]:
            upload = {"upload": {"href": f"{self.hub.url}/large/{each['oid']}"}}
            objects.append({**each, **({} if each["oid"] in self.hub.large else {"actions": upload})})
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if _sha256(self.body) != oid:
            self._fail(400, "", "the content has another SHA-256")
            return
        self.hub.large[oid] = self.body
        self._send(200)

    def commit(self, repository: str, revision: str) -> None:
        if not self._may_write(repository):
            return
        files = {}
        for line in self.body.splitlines():
            key, value = json.loads(line)["key"], json.loads(line)["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        digest = self.hub.repositories[repository].commit(revision, files)
        self._json({"commitUrl": f"{self.hub.url}/{repository}/commit/{digest}", "commitOid": digest})

    def resolve(self, repository: str, revision: str, file: str) -> None:
        found = self._readable(repository)
        if found is None:
            return
        commit = found.branches.get(revision, revision)
        if commit not in found.commits:
            self._fail(404, "RevisionNotFound", "Revision not found")
            return
        if file not in found.commits[commit]:
            self._fail(404, "EntryNotFound", "Entry not found")
            return
        content = found.commits[commit][file]
        oid = _sha256(content)
        self.hub.large[oid] = content
        linked = {"X_Linked_Etag": f'"{oid}"', "X_Linked_Size": str(len(content)), "X_Repo_Commit": commit}
        elsewhere = self.hub.url.replace("127.0.0.1", "localhost")  # large files have a host of their own
        self._send(302, Location=f"{elsewhere}/large/{oid}", **linked)

    def download(self, oid: str) -> None:
        content = self.hub.large[oid]
        if self.command == "GET" and self.hub.is_broken:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: 0 if "Range" in self.headers else len(content) // 2])
            self.close_connection = True
            return
        self._send(200, content, ETag=f'"{oid}"')


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


_ROUTES = [
    (r"/api/repos/create", ("POST",), _Handler.create),
    (r"/api/validate-yaml", ("POST",), _Handler.validate),
    (rf"/api/models/{REPOSITORY}(?:/revision/(?P<revision>[^/]+))?", ("GET",), _Handler.info),
    (rf"/api/models/{REPOSITORY}/branch/(?P<branch>[^/]+)", ("POST",), _Handler.branch),
    (rf"/api/models/{REPOSITORY}/preupload/(?P<revision>[^/]+)", ("POST",), _Handler.preupload),
    (rf"/api/models/{REPOSITORY}/commit/(?P<revision>[^/]+)", ("POST",), _Handler.commit),
    (rf"/{REPOSITORY}\.git/info/lfs/objects/batch", ("POST",), _Handler.large_batch),
    (rf"/{REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", ("GET", "HEAD"), _Handler.resolve),
    (r"/large/(?P<oid>\w+)", ("PUT",), _Handler.upload),
    (r"/large/(?P<oid>\w+)", ("GET", "HEAD"), _Handler.download),
]
