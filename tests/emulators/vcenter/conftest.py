"""A vCenter with two machines, and a logged-in pyVmomi."""

import pytest
from pyVmomi import vim
from pyVmomi.VmomiSupport import newestVersions
from vcenter_lab import Site


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    made.check_kept()
    yield made
    try:
        made.check_kept()
    finally:
        made.vcenter.close()


@pytest.fixture
def si(site):
    return site.login()


@pytest.fixture
def newest_si(site):
    """A login that speaks the newest version: it knows the methods that came later."""
    return newest(site.login())


@pytest.fixture
def dc(si):
    return si.content.rootFolder.childEntity[0]


@pytest.fixture
def site_of():
    """Makes sites with options, each with its login."""
    made = []

    def start(folder, **options):
        made.append(Site(folder, **options))
        return made[-1], newest(made[-1].login())

    yield start
    for one in made:
        ended(one)


def newest(si):
    si._stub.version = newestVersions.Get("vim")
    return si


def ended(site):
    """Close a site. Whatever a test did, its events and tasks must have been such that a client can read them."""
    try:
        if "administrator@vsphere.local" in {one.principal for one in site.vcenter.inventory.authorization.permissions}:
            content = newest(site.login()).content
            content.eventManager.QueryEvents(vim.event.EventFilterSpec())
            content.taskManager.ReadNextTasksByViewSpec(vim.TaskManager.TaskViewSpec(), vim.TaskFilterSpec(), None)
    finally:
        site.vcenter.close()
