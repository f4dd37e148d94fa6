"""One self-contained HTML page about a run: the data, the results, and how far to trust them.

    record            RunRecord, a finished run's files; Report, a task's part of the page
    sections          training curves, model card, configuration, environment, commands: the same for every task
    explained         coloured sequences and the faithfulness of their explanations
    explanation_page  the page of `ostinato explain --out`
    card              the model card
    wording           numbers in sentences
    page              building blocks of a page, and its frame
    figures           plots; `groups` computes what they show, `svg` draws them into a page, `gallery` saves them
    terminal          results in a terminal

Each task adds its own sections in `ostinato/tasks/TASK/report.py`.
"""
