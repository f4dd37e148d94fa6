"""Damage a valid file: flip, remove, repeat, move and insert bytes, or cut the file."""

from hypothesis import strategies as st

INSERTED = [
    b"\0", b"\n", b"\r", b"\n\n", b"\t", b" ", b",", b";", b":", b"|", b'"', b"'", b"\\", b"#", b"@", b">", b"+", b"-",
    b"{", b"}", b"[", b"]", b"[" * 5000, b'{"a":' * 5000, b"9" * 5000, b"1e999", b"NaN", b"null", b"true", b"?",
    b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", "\u202e".encode(), b"\x1f\x8b",
    b"A" * 9_000, b"@data", b"-DOCSTART-", b"1-2\t", b"2147483648 ", b"18446744073709551616",
]  # fmt: skip

EDITS = st.tuples(
    st.sampled_from(["flip", "remove", "repeat", "move", "insert", "cut"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 40),
    st.sampled_from(INSERTED) | st.binary(min_size=1, max_size=4),
)


def damaged(contents: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the contents with one to four edits."""
    return st.builds(_damage, st.sampled_from(contents), st.lists(EDITS, min_size=1, max_size=4))


def _damage(content: bytes, edits: list[tuple[str, float, int, bytes]]) -> bytes:
    for kind, place, size, inserted in edits:
        start = int(place * len(content))
        before, part, after = content[:start], content[start : start + size], content[start + size :]
        content = {
            "flip": before + bytes(byte ^ (1 << size % 8) for byte in part[:1]) + part[1:] + after,
            "remove": before + after,
            "repeat": before + part * 3 + after,
            "move": after + part + before,
            "insert": before + inserted + part + after,
            "cut": before,
        }[kind]
    return content
