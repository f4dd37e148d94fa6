"""Before they train, the ranks compare their versions, files and data; one error of rank 0 ends all."""

import re
from pathlib import Path

import pytest
from tiny_runs import config_of, reviews_config, write_reviews
from torchrun import ranks_of_machines, script, torchrun

from ostinato.config import to_toml
from ostinato.runs import ranks as checks
from ostinato.training.ranks import MOST_RANKS_NAMED, RankFacts, _problems

DEADLINE_S = 30

needs_proc = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="gives each rank its own file by /proc")


def train_at_home(folder, write_of_rank_1):
    """Train on two ranks as on two machines, of which the second has another file. Returns what each prints."""
    homes = [folder / "homes" / rank for rank in ("0", "1")]
    for home in homes:
        home.mkdir(parents=True)
        write_reviews(home / "reviews.csv")
    write_of_rank_1(homes[1] / "reviews.csv")
    config = reviews_config("/proc/self/cwd/reviews.csv")
    (folder / "config.toml").write_text(to_toml(config), encoding="utf-8")
    arguments = [folder / "homes", "train", folder / "config.toml", "--out", folder / "run"]
    processes = ranks_of_machines(2, script("rank_at_home.py"), *arguments)
    try:
        printed = [each.communicate(timeout=DEADLINE_S)[0] for each in processes]
    finally:
        for each in processes:
            each.kill()
    assert [each.returncode for each in processes] == [2, 2], printed
    assert not (folder / "run").exists()
    return printed


def lose_a_row(path):
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")


def install_another_torch(path):
    package = path.with_name("torch-0.0.1.dist-info")
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 0.0.1\n", encoding="utf-8")


@needs_proc
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lose_a_row, "Rank 1 .*train split is 57 rows .* 56 rows"),
        (Path.unlink, r"Rank 1 .*reviews\.csv is missing"),
        pytest.param(
            lambda path: path.write_text("text,label\n", encoding="utf-8"),
            r"Rank 1 .*reviews\.csv: holds no rows",
            marks=pytest.mark.slow,  # 5 seconds, as each of them
        ),
        pytest.param(install_another_torch, r"Rank 1 .*torch is 0\.0\.1", marks=pytest.mark.slow),
    ],
    ids=["other rows", "no file", "an unreadable file", "another PyTorch"],
)
def test_another_file_on_a_rank_ends_all_with_one_error_that_names_it(tmp_path, spoil, expected):
    of_first, of_second = train_at_home(tmp_path, spoil)
    assert re.search(f"^Error: {expected}", of_first), of_first
    assert of_second == ""


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        pytest.param("data.train_size=2", "2 rows.*3 processes", marks=pytest.mark.slow),
        ("model.cells=lstm", r"model\.cells"),
    ],
    ids=["fewer rows than ranks", "an unknown key"],
)
def test_an_error_of_rank_0_is_the_only_one(tmp_path, setting, expected):
    pairs = [part for each in [setting, "data.validation_size=2", "data.test_size=2"] for part in ("--set", each)]
    process = torchrun(3, "-m", "ostinato", "train", "majority", *pairs, "--out", tmp_path / "run")
    try:
        printed, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    (error,) = re.findall("^Error: .*", printed, flags=re.MULTILINE)
    assert re.search(expected, error), error
    assert process.returncode != 0 and not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression", "tagging"])
def test_equal_data_have_equal_facts_and_other_data_have_others(tmp_path, task):
    config = config_of(task, tmp_path)
    kind = checks.TASKS[task]
    facts, again = (checks._facts(kind, kind.prepare_for(config)) for _ in range(2))
    assert facts == again
    other = kind.prepare_for(config_of(task, tmp_path, "data.seed=1"))
    changed = {name for name, value in checks._facts(kind, other).items() if facts[name] != value}
    assert {"the train split", "the validation split", "the test split"} <= changed


def test_every_rank_that_differs_is_named_up_to_a_limit():
    first = RankFacts("node0", {"torch": "2.13.0", "ostinato": "1.0"}, None)
    same, other = RankFacts("node1", dict(first.facts), None), RankFacts("node2", {"torch": "2.6.0"}, None)
    assert _problems([first, same]) == []
    assert _problems([first, same, other]) == [
        "Rank 2 (node2) differs from rank 0 (node0): torch is 2.6.0 instead of 2.13.0; ostinato is missing instead of "
        "1.0."
    ]
    assert len(_problems([first] + [other] * 9)) == MOST_RANKS_NAMED
