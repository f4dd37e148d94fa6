"""One self-contained HTML page about a run: what went in, what came out, and how far to believe it."""
