"""explain, trace, report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato.cli.arguments import FileSettings, Json
from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from ostinato.data.examples import Sentence
    from ostinato.estimators import SequenceTagger
    from ostinato.explanation.tag_records import ExplainedTags


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder, or a model file.")],
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE|-", help="A data file, or -; by default rows of the run's own test split."),
    ] = None,
    text: Annotated[list[str] | None, typer.Option(metavar="SEQUENCE", help="A sequence; repeatable.")] = None,
    method: Annotated[
        str, typer.Option(help="Or gradient-x-input, occlusion, attention, in-silico-mutagenesis.")
    ] = "integrated-gradients",
    label: Annotated[str | None, typer.Option(help="The class or tag to explain; by default the answer.")] = None,
    token: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Of a tagger, explain the Nth word of each sentence, not the entities found; repeatable.",
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many sequences; by default 5 of the test split, all of a file."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write explanations.json, a page, and pictures there.")
    ] = None,
    settings: FileSettings = None,
    as_json: Json = False,
) -> None:
    """Show what drove the answers, token by token, and how far to believe it."""
    if file is not None and text:
        raise ConfigError("Two things to explain. Give either a FILE (- for standard input) or --text SEQUENCE.")
    from itertools import islice

    from ostinato.estimators import SequenceTagger, load
    from ostinato.explanation import terminal
    from ostinato.explanation.records import explain_records
    from ostinato.progress import Progress

    model = load(run)
    if isinstance(model, SequenceTagger):
        chosen = _sentences(model, run, file, text, settings or [], rows)
        _show_tags(_explained_tags(model, chosen, method, label, token), out, as_json)
        return
    if token:
        raise ConfigError(
            f"--token {token[0]}: is for taggers, and {run} is a classifier, which gives a sequence one label. Leave it away."
        )
    if file is None and not text:
        from ostinato.runs import test_examples

        records = test_examples(run).records()[: rows or 5]
    else:
        records = list(islice(records_of(model, run, file, text, settings or []), rows))
    explained = explain_records(model, records, method=method, label=label, progress=Progress())
    if out is not None:
        from ostinato.report.explanation_page import write_explanations

        write_explanations(out, explained)
    if as_json:
        typer.echo(json.dumps(explained.to_dict(), ensure_ascii=False, allow_nan=False))
    else:
        terminal.print_explained(explained)
    if out is not None:
        typer.echo(f"Written: {out / 'explanations.html'}", err=True)


def _sentences(
    tagger: "SequenceTagger", run: Path, file: str | None, text: list[str] | None, settings: list[str], rows: int | None
) -> "list[Sentence]":
    """What a tagger is to be asked about; by default sentences of the test split in which it found an entity."""
    from itertools import islice

    if file is None and not text:
        from ostinato.report.tagger_facts import sentences_to_explain

        return sentences_to_explain(run, tagger.encoder_.scheme)[: rows or 5]
    return list(islice(sentences_of(tagger, run, file, text, settings), rows))


def _explained_tags(
    tagger: "SequenceTagger", sentences: "list[Sentence]", method: str, tag: str | None, numbers: list[int] | None
) -> "ExplainedTags":
    """The explanations of the words of these numbers, counted from 1."""
    from ostinato.explanation.tag_records import explain_sentences
    from ostinato.progress import Progress

    for sentence in sentences:
        for number in numbers or []:
            if number > len(sentence.words):
                raise ConfigError(
                    f"--token {number}: {sentence.place} has {len(sentence.words)} words. Choose from 1 to {len(sentence.words)}."
                )
    tokens = [number - 1 for number in numbers] if numbers else None
    return explain_sentences(tagger, sentences, method=method, tag=tag, tokens=tokens, progress=Progress())


def _show_tags(explained: "ExplainedTags", out: Path | None, as_json: bool) -> None:
    from ostinato.explanation import terminal

    if out is not None:
        from ostinato.report.tagger_explained import write_explained_tags

        write_explained_tags(out, explained)
    if as_json:
        typer.echo(json.dumps(explained.to_dict(), ensure_ascii=False, allow_nan=False))
    else:
        terminal.print_explained_tags(explained)
    if out is not None:
        typer.echo(f"Written: {out / 'explanations.html'}", err=True)


def trace(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder, or a model file.")],
    text: Annotated[
        str | None,
        typer.Option(metavar="SEQUENCE", help="The sequence; by default the first row of the run's own test split."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png|svg|pdf", help="Also draw it there.")] = None,
    as_json: Json = False,
) -> None:
    """Follow a model through a sequence: state, gates and running answer at each step."""
    from ostinato.estimators import load_classifier
    from ostinato.explanation import terminal
    from ostinato.explanation.trace import trace

    model = load_classifier(run)
    if text is None:
        from ostinato.runs import test_examples

        sequence = test_examples(run).sequences[0]
    else:
        sequence = next(records_of(model, run, None, [text], [])).sequence
    traced = trace(model, sequence)
    if plot is not None:
        from ostinato.explanation.plot_trace import plot_trace
        from ostinato.report.gallery import save_figure

        save_figure(plot_trace(traced), plot)
    if as_json:
        typer.echo(json.dumps(traced.to_dict(), ensure_ascii=False, allow_nan=False))
    else:
        terminal.print_trace(traced)


def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")]) -> None:
    """Write a run's report.html, its model card, and the pictures as files."""
    from ostinato.progress import Progress
    from ostinato.report.run_report import report_run

    typer.echo(f"Written: {report_run(run, progress=Progress())}")
