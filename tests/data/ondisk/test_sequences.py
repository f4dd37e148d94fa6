import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ostinato.data.examples import Record
from ostinato.data.ondisk import arrays
from ostinato.data.ondisk.arrays import ArrayWriter, MappedFile
from ostinato.data.ondisk.sequences import store

LABELS = st.text(max_size=3)
SOURCES = st.one_of(
    st.text(max_size=6), st.builds("{}.csv, row {}".format, st.text(max_size=2), st.integers(0, 10**20)), st.just("a²")
)
TEXTS = st.text(st.characters(), max_size=9)  # half surrogate pairs, too: the encoder refuses them
EVENTS = st.lists(st.text(max_size=4), max_size=4)
SERIES = st.lists(st.tuples(st.floats(width=64), st.floats()), min_size=1, max_size=4).map(
    lambda steps: np.array(steps, dtype=np.float64)
)


def rows_of(sequences):
    row = st.builds(Record, sequences, LABELS, st.none() | LABELS, st.none() | LABELS, SOURCES)
    return st.lists(st.none() | row, max_size=20)


def bits(sequence):
    """Equal for sequences that are the same to the last bit, NaN included."""
    return (sequence.shape, sequence.tobytes()) if isinstance(sequence, np.ndarray) else sequence


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.one_of(rows_of(TEXTS), rows_of(EVENTS), rows_of(SERIES)))
def test_rows_come_back_as_they_were(tmp_path_factory, rows):
    place = tmp_path_factory.mktemp("rows")
    given_rows = [row for row in rows if row is not None]
    for read in (lambda: rows, lambda: pytest.fail("read again")):
        records, skipped = store(place, read)
        assert skipped == len(rows) - len(given_rows)
        assert list(records.sources) == [row.source for row in given_rows]
        assert records.targets == [row.target for row in given_rows]
        for column in ("splits", "groups"):
            values = [getattr(row, column.removesuffix("s")) for row in given_rows]
            assert getattr(records, column) == (None if set(values) == {None} else values)  # None: no such column
        for found, row in zip(records.sequences, given_rows, strict=True):
            if len(row.sequence):
                assert bits(found) == bits(row.sequence)
            else:
                assert len(found) == 0
        assert records.sequences.raw_lengths.tolist() == [len(row.sequence) for row in given_rows]


def test_a_selection_reads_like_a_list(tmp_path):
    texts = [f"text {number}" for number in range(7)]
    rows = [Record(text, "x", None, None, f"a.csv, row {number}") for number, text in enumerate(texts)]
    records, _ = store(tmp_path / "rows", lambda: rows)
    assert records.sequences[-1] == texts[-1] and records.sources[3] == "a.csv, row 3"
    assert list(records.sequences[1::2]) == texts[1::2] and list(records.sources[::-3]) == [
        f"a.csv, row {number}" for number in (6, 3, 0)
    ]
    chosen = records.select([4, 0, 4])
    assert list(chosen.sequences) == [texts[4], texts[0], texts[4]] and len(chosen) == 3
    assert chosen.sequences.name != records.sequences.name == store(tmp_path / "rows", list)[0].sequences.name
    with pytest.raises(IndexError):
        records.sequences[7]


@pytest.mark.parametrize(("dtype", "columns"), [(np.int32, None), (np.float32, 3)])
def test_arrays_come_back_while_their_pages_are_given_back(tmp_path, monkeypatch, dtype, columns):
    monkeypatch.setattr(arrays, "READ_BYTES", 1000)
    values = np.arange(30_000).astype(dtype).reshape(-1, *([columns] if columns else []))
    with ArrayWriter(tmp_path / "values") as file:
        for part in np.array_split(values, 7):
            file.add(part)
    mapped = MappedFile(tmp_path / "values", dtype, columns)
    for _ in range(3):
        assert np.array_equal(mapped.array, values)
        mapped.count(mapped.array.nbytes)
    with pytest.raises(ValueError, match="read-only"):
        mapped.array[0] = 1


def test_an_empty_file_is_an_empty_array(tmp_path):
    with ArrayWriter(tmp_path / "values"):
        pass
    assert MappedFile(tmp_path / "values", np.float32, 2).array.shape == (0, 2)
