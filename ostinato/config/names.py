"""Names that a config may use for cells, formats, tokenizers and vectors: built in, or added by user code.

The built-in names stand here so that a config is checked without importing PyTorch; a test compares them with the
tables themselves.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from ostinato import plugins
from ostinato.errors import suggest

CELLS = (
    "rnn",
    "lstm",
    "gru",
    "mingru",
    "minlstm",
    "mingru_signed",
    "minlstm_signed",
    "rglru",
    "lru",
    "lnlstm",
    "slstm",
)
FORMATS = ("csv", "tsv", "jsonl", "json", "parquet", "fasta", "ts", "conll", "conllu")
TOKENIZERS = ("words", "subwords", "characters", "nucleotides", "kmers(K)", "amino-acids", "events", "numeric")
VECTORS = ("glove-50d",)
ENCODERS = ("imdb-encoder", "imdb-full-encoder")  # presets of `ostinato pretrain`
KMERS = re.compile(r"kmers\(([1-9]|1[0-3])\)")


def _is_kmers(name: str) -> bool:
    return KMERS.fullmatch(name) is not None


def _known(kind: str, builtin: tuple[str, ...], group: str, also: Callable[[str], bool]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if (name in builtin and name != "kmers(K)") or also(name):
            return name
        choices = [*builtin, *plugins.names(group)]
        if name in choices[len(builtin) :]:
            return name
        hint = ", with 1 to 13 for K" if kind == "tokenizer" else ""
        raise ValueError(f"unknown {kind} {name!r}. {suggest(name, choices)}Choose from: {', '.join(choices)}{hint}")

    return check


def _listed(builtin: tuple[str, ...], group: str, pattern: str | None = None) -> Callable[[dict[str, Any]], None]:
    """Offer the names that exist when the schema is made."""

    def extend(schema: dict[str, Any]) -> None:
        choices = {"enum": [name for name in (*builtin, *plugins.names(group)) if name != "kmers(K)"]}
        schema.update(choices if pattern is None else {"anyOf": [choices, {"pattern": f"^{pattern}$"}]})

    return extend


def _never(name: str) -> bool:
    return False


CellName = Annotated[
    str,
    AfterValidator(_known("cell", (*CELLS, "cnn"), plugins.CELLS, _never)),
    Field(json_schema_extra=_listed((*CELLS, "cnn"), plugins.CELLS)),
]
SequenceCellName = Annotated[
    str,
    AfterValidator(_known("cell", (*CELLS, "cnn", "none"), plugins.CELLS, _never)),
    Field(json_schema_extra=_listed((*CELLS, "cnn", "none"), plugins.CELLS)),
]
RecurrentCellName = Annotated[
    str,
    AfterValidator(_known("cell", CELLS, plugins.CELLS, _never)),
    Field(json_schema_extra=_listed(CELLS, plugins.CELLS)),
]
TaggerCellName = Annotated[
    str,
    AfterValidator(_known("cell", (*CELLS, "none"), plugins.CELLS, _never)),
    Field(json_schema_extra=_listed((*CELLS, "none"), plugins.CELLS)),
]
FormatName = Annotated[
    str,
    AfterValidator(_known("format", FORMATS, plugins.FORMATS, _never)),
    Field(json_schema_extra=_listed(FORMATS, plugins.FORMATS)),
]
TokenizerName = Annotated[
    str,
    AfterValidator(_known("tokenizer", TOKENIZERS, plugins.TOKENIZERS, _is_kmers)),
    Field(json_schema_extra=_listed(TOKENIZERS, plugins.TOKENIZERS, KMERS.pattern)),
]
