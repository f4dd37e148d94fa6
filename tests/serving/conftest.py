"""Small models of every task in files, and a service that answers in this process."""

import pytest

for module in ("fastapi", "uvicorn", "prometheus_client", "websockets"):
    pytest.importorskip(module, reason="needs the extra serve")

from calls import service_of  # noqa: E402, imports the extra
from small_models import classifier, multilabel, regressor, tagger, words_only  # noqa: E402


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """The model files of four tasks, by name."""
    folder = tmp_path_factory.mktemp("models")
    models = {"dna": classifier(), "texts": multilabel(), "series": regressor(), "tags": tagger(words_only())}
    for name, model in models.items():
        model.save(folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in models}


@pytest.fixture
def service(files):
    """A service of all four models."""
    return service_of(files)
