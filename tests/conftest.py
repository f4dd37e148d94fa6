"""Shared by all tests: nothing random is left unseeded, and tiny models run on one thread."""

import os
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")  # in programs that tests start, too

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
# A busy machine draws examples slowly; that is no fault of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")  # not longer: while Playwright runs, no other test can start an event loop
def browser():
    """Chromium; tests with the mark `browser` use it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        running = playwright.chromium.launch(executable_path=chromium, args=options)
        yield running
        running.close()
