import io

import pytest
from rich.console import Console

from ostinato import progress
from ostinato.progress import Progress


@pytest.mark.parametrize(("is_terminal", "limit", "shown"), [(True, 3, True), (True, 4, False), (False, 3, False)])
def test_large_files_are_named_before_they_are_read(tmp_path, monkeypatch, is_terminal, limit, shown):
    monkeypatch.setattr(progress, "LARGE_FILE", limit)
    path = tmp_path / "big.csv"
    path.write_bytes(b"abc")
    output, bar = io.StringIO(), Progress()
    bar.console = Console(file=output, force_terminal=is_terminal, width=500)
    with bar.reading([str(path), str(tmp_path / "missing.csv")]):
        pass
    assert ("big.csv" in output.getvalue()) == shown
    assert "missing" not in output.getvalue()
