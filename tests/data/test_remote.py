import pytest
from s3_server import s3_server

from ostinato.data.remote import is_remote, remote_files
from ostinato.errors import DataError


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")


def contents(address):
    found = {}
    for file in remote_files(address):
        with file.copied() as copy:
            found[file.address] = copy.read_bytes()
        assert not copy.exists()
    return found


def test_addresses_are_told_from_paths():
    assert is_remote("s3://bucket/a.csv") and is_remote("gs://bucket/a.csv") and is_remote("file:///a.csv")
    assert not any(map(is_remote, ("a.csv", "/a/b.csv", r"C:\a.csv", "a/*.csv", "x:/y")))


def test_a_file_a_folder_and_a_pattern_of_a_bucket_are_found_and_copied():
    files = {"logs/1.csv": b"one" * 5_000_000, "logs/0.csv": b"zero", "logs/x.txt": b"text", "logs/.hidden": b""}
    with s3_server(files) as query:
        assert contents(f"s3://bucket/logs/0.csv{query}") == {"s3://bucket/logs/0.csv": b"zero"}
        both = contents(f"s3://bucket/logs/*.csv{query}")
        assert list(both) == ["s3://bucket/logs/0.csv", "s3://bucket/logs/1.csv"]
        assert both["s3://bucket/logs/1.csv"] == files["logs/1.csv"]
        assert len(contents(f"s3://bucket/logs/{query}")) == 3
        assert [file.size for file in remote_files(f"s3://bucket/logs/[01].csv{query}")] == [4, 15_000_000]


def test_what_cannot_be_read_says_so():
    files = {"logs/0.csv": b"zero"}
    with s3_server(files) as query:
        with pytest.raises(DataError, match=r"s3://bucket/none/\*.csv.*no file is there"):
            remote_files(f"s3://bucket/none/*.csv{query}")
        (file,) = remote_files(f"s3://bucket/logs{query}")
        files.clear()
        with pytest.raises(DataError, match=r"logs/0.csv: cannot be read .*the credentials and the network"):
            file.copied().__enter__()
    with pytest.raises(DataError, match="nothing://bucket/a.csv: cannot be read"):
        remote_files("nothing://bucket/a.csv")


def test_a_local_address_works_too(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"content")
    assert contents(f"file://{tmp_path}/*.csv") == {f"file://{tmp_path}/a.csv": b"content"}
