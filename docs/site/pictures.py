"""Pictures of a report and of the service's page, for the README: python docs/site/pictures.py [RUN].

Without a run, the preset `splice` is trained first, for about a minute. Needs the extras explain and serve, Playwright
and Chromium.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

PRESET = "splice"
FIGURES = Path(__file__).parents[1] / "figures"
WIDTH, HEIGHT = 1_000, 680  # px
OSTINATO = [sys.executable, "-m", "ostinato"]


def main(run: Path, figures: Path = FIGURES, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Write `report.png` and `page.png` into the folder `figures`."""
    subprocess.run([*OSTINATO, "report", str(run)], check=True)
    with browser() as chromium, service(run) as address:
        page = chromium.new_page(viewport={"width": width, "height": height})
        page.goto((run / "report.html").resolve().as_uri())
        page.screenshot(path=figures / "report.png")
        page.goto(address)
        page.click("#examples button")
        page.wait_for_function("document.querySelector('#views').innerText.trim() !== ''")
        page.wait_for_load_state("networkidle")
        page.screenshot(path=figures / "page.png")


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, that of the system if there is one."""
    installed = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=installed, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@contextmanager
def service(run: Path) -> Iterator[str]:
    """A service of the run; gives its address."""
    command = [*OSTINATO, "serve", f"{run.name}={run}", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]  # "Serving … at http://127.0.0.1:PORT"
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            trained = Path(folder) / PRESET
            subprocess.run([*OSTINATO, "train", PRESET, "--out", str(trained)], check=True)
            main(trained)
