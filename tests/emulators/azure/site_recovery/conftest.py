from collections.abc import Iterator

import pytest
from scripted_site import Site


@pytest.fixture
def bare() -> Iterator[Site]:
    """Azure with a vault, accounts and networks; no configuration server."""
    site = Site()
    site.prepare_azure()
    yield site
    site.close()


@pytest.fixture
def site() -> Iterator[Site]:
    """A site with its vCenter added and both policies mapped; nothing is protected."""
    made = Site().set_up()
    yield made
    made.close()
