"""The processes that tests leave behind."""

import os
from pathlib import Path


def processes_of_ray():
    """The processes of Ray that this process started, directly or not."""
    parents, names = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (entry / "stat").read_text().rpartition(")")
        except OSError:  # it has ended
            continue
        if rest.split()[0] != "Z":
            names[int(entry.name)], parents[int(entry.name)] = name.partition("(")[2], int(rest.split()[1])
    ours = {os.getpid()}
    while found := {process for process, parent in parents.items() if parent in ours} - ours:
        ours |= found
    return [names[each] for each in ours if names[each].startswith(("raylet", "gcs_server", "ray::"))]
