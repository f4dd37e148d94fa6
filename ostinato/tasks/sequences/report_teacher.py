"""The section of a report on the teacher of a self-trained model."""

from collections.abc import Iterator

from ostinato.report.page import Section, paragraph, table
from ostinato.report.record import RunRecord
from ostinato.report.wording import counted
from ostinato.tasks.sequences.semi import TeacherFacts, read_teacher

CHECKPOINTS = "checkpoints"  # in a run folder


def teacher_section(run: RunRecord) -> Iterator[Section]:
    """Which models labelled the unlabelled rows, and how good each is; nothing for a run without a teacher.

    Raises:
        RunError: the teacher's file is damaged.
    """
    teacher = read_teacher(run.folder / CHECKPOINTS)
    if teacher is None:
        return
    if teacher.run is not None:
        yield Section("Teacher", "teacher", paragraph(_of_run(teacher)))
        return
    rows = [
        (name, "yes" if name in teacher.members else "no", f"{loss:.3f}")
        for name, loss in sorted(teacher.losses.items(), key=lambda each: each[1])
    ]
    together = f"The {counted(len(teacher.members), 'member')} together" if len(teacher.members) > 1 else "The member"
    yield Section(
        "Teacher",
        "teacher",
        paragraph(
            "Self-training: a teacher, the mean of the logits of linear models, gave each unlabelled row a probability "
            "of each class or label. The network learned from these rows and from the labelled ones." + _used(teacher)
        )
        + table(("candidate", "member", "log-loss"), rows, numeric=(2,))
        + paragraph(
            "The log-loss is that on labelled training rows which the candidate did not see, by cross-validation. "
            f"{together} {'have' if len(teacher.members) > 1 else 'has'} a log-loss of {teacher.loss:.3f}, after the "
            f"logits are divided by the temperature {teacher.temperature:.3f}."
        ),
    )


def _of_run(teacher: TeacherFacts) -> str:
    loss = "" if teacher.loss is None else f" Its log-loss on the validation split is {teacher.loss:.3f}."
    return (
        f"Self-training: the model of the run {teacher.members[0]} gave each unlabelled row a probability of each "
        f"class or label. The network learned from these rows and from the labelled ones.{loss}{_used(teacher)}"
    )


def _used(teacher: TeacherFacts) -> str:
    if teacher.confidence == 0:
        return ""
    return f" Unlabelled rows with a confidence of at least {teacher.confidence:g}, which are used: {teacher.used:,}."
