"""Processes of torchrun, for tests."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def torchrun(ranks, *arguments, **options):
    """Start ranks of one thread each; their output and torchrun's are one stream of text."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def ranks_of_machines(ranks, *arguments):
    """Start ranks as on machines of their own: each prints for itself, and nothing ends it if another one ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    common = os.environ | address | {"OMP_NUM_THREADS": "1", "LOCAL_RANK": "0", "WORLD_SIZE": str(ranks)}
    return [
        subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env=common | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(ranks)
    ]


def script(name):
    """The path of a program of this folder."""
    return Path(__file__).with_name(name)


def children(pid):
    return map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split())


def variable(pid, name):
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().partition("=")[::2] for entry in entries).get(name)
