"""A node is killed during a comparison, and during a prediction: all is finished, nothing is lost or done twice."""

import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest
from pyarrow import parquet
from small_comparisons import LONG, Lines, on_ray, plan, starts, wait_for_two_running, weights

from ostinato.cluster import connected
from ostinato.cluster.files import find_inputs
from ostinato.cluster.prediction import predict_files
from ostinato.comparison.compare import run_comparison
from ostinato.runs import start_run
from ostinato.tasks.config import parse_config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_costs")]

WORDS = ["good", "bad", "fine", "poor"]


def on_dying_nodes(folder, kill, *where):
    """The comparison on a cluster of which a node dies while two runs train."""

    def kill_a_node():
        wait_for_two_running(*where)
        kill()

    killer = threading.Thread(target=kill_a_node)
    killer.start()
    found, lines = on_ray(plan(LONG), folder)
    killer.join()
    assert lines[0] == "Ray: 2 nodes, 2 CPUs."
    assert [line.split()[0] for line in lines[1:]] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    return found


def test_when_a_node_dies_its_run_continues_elsewhere_from_its_checkpoint(two_nodes, tmp_path):
    local = run_comparison(plan(LONG), tmp_path / "local", processes=1)
    found = on_dying_nodes(tmp_path / "ray", two_nodes, tmp_path / "ray")
    assert [run.test for run in found.runs] == [run.test for run in local.runs]
    assert weights(tmp_path / "ray") == weights(tmp_path / "local")
    assert sorted(starts(tmp_path / "ray")) == [1, 1, 1, 2]  # one was resumed, none started anew


def test_when_a_node_dies_that_shares_no_folder_its_run_starts_again(two_nodes, unshared, tmp_path):
    local = run_comparison(plan(LONG), tmp_path / "local", processes=1)
    temporary = Path(tempfile.gettempdir())
    old = list(temporary.glob("ostinato-*/run"))
    found = on_dying_nodes(tmp_path / "ray", two_nodes, temporary, "ostinato-*/run", old)
    assert [run.test for run in found.runs] == [run.test for run in local.runs]
    assert weights(tmp_path / "ray") == weights(tmp_path / "local")
    assert starts(tmp_path / "ray") == [1, 1, 1, 1]
    for lost in set(temporary.glob("ostinato-*/run")) - set(old):  # that of the process that was killed
        shutil.rmtree(lost.parent)


def test_when_a_node_dies_every_file_is_answered_once(two_nodes, tmp_path):
    rows = [f"a {WORDS[n % 4]} film number {n},{'yes' if n % 2 == 0 else 'no'}\n" for n in range(80)]
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(rows), encoding="utf-8")
    data = {"path": str(tmp_path / "train.csv")}
    config = parse_config({"data": data, "training": {"max_epochs": 1, "device": "cpu"}})
    start_run(config, tmp_path / "run")
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(12):
        rows = [f"{n},a {WORDS[(n + number) % 4]} film\n" for n in range(10_000)]
        (folder / f"{number:02}.csv").write_text("id,text\n" + "".join(rows), encoding="utf-8")

    def predict(out):
        progress = Lines()
        with connected("ray", progress) as cluster:
            found = predict_files(
                cluster,
                tmp_path / "run",
                find_inputs(f"{folder}/*.csv"),
                out,
                reading=lambda path: config.data.model_copy(update={"path": str(path)}),
                device="cpu",
                progress=progress,
            )
        return found, progress.lines

    def kill_a_node():
        deadline = time.monotonic() + 120
        while len(list(out.glob("*.parquet"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.005)
        two_nodes()

    killer = threading.Thread(target=kill_a_node)
    killer.start()
    found, lines = predict(out)
    killer.join()
    assert lines[0] == "Ray: 2 nodes, 2 CPUs."
    assert lines[-1].startswith("[12/12]")
    assert sorted((each.file.name, each.rows, each.failed, each.reason) for each in found) == [
        (f"{number:02}.csv.parquet", 10_000, 0, None) for number in range(12)
    ]
    predict(tmp_path / "again")  # on the node that is left
    for path in sorted(out.iterdir()):
        assert parquet.read_table(path)["id"].to_pylist() == [str(n) for n in range(10_000)]
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
