"""A vCenter with two machines, and a logged-in pyVmomi."""

import pytest
from vcenter_lab import Site


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.vcenter.close()


@pytest.fixture
def si(site):
    return site.login()
