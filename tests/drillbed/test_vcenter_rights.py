"""What the product's account may do in the vCenter: a step for each privilege; what it may not see is not discovered."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from drillbed.estate import Estate, EstatePlan, MachinePlan
from drillbed.operator import Refused
from drillbed.site import REPLICATION
from drillbed.vault import REVERSE, WayBack, to_appliance

MIB = 1 << 20
ADMINISTRATOR, NO_ACCESS = -1, -5


def allow(estate: Estate, without: Sequence[str] = (), *, role: int | None = None, machine: str = "") -> None:
    """Give the product's account every privilege but some on the whole vCenter, or a role on one machine."""
    with estate.vsphere._session() as session:
        content = session._content
        rights = content.authorizationManager
        entity = content.rootFolder
        if role is None:
            administrator = next(one for one in rights.roleList if one.roleId == ADMINISTRATOR)
            assert set(without) <= set(administrator.privilege)
            names = [one for one in administrator.privilege if one not in without]
            role = rights.AddAuthorizationRole(f"most {estate.clock.uuid()}", names)
        if machine:
            entity = vim.VirtualMachine(estate.vsphere._moid(session, machine), session._stub)
        permission = vim.AuthorizationManager.Permission(principal=REPLICATION, group=False, roleId=role, propagate=True)
        rights.SetEntityPermissions(entity, [permission])


def refused(act: Any) -> None:
    with pytest.raises(Refused, match="VCenterPermission"):
        act()


def test_each_privilege_of_the_way_back(tmp_path: Path) -> None:
    """VCP-002, VCP-003, RPR-026: the step that needs it fails, and works when the role is mended."""
    plan = EstatePlan(machines=[MachinePlan("web", "WINDOWS", [2 * MIB])], hash_at_boot=True, profile="modernized")
    with Estate.open(plan, tmp_path / "estate") as estate:
        estate.prepare_azure()
        estate.register_site()
        estate.add_vcenter()
        vault = estate.vault
        vault.make_policies()
        estate.protect("web")
        vault.until_state("web", "Protected")
        vault.failover("web", shut_down=False)
        vault.commit("web")
        estate.clock.wait(300)
        estate.vsphere.power("web", on=True)
        agent = vault.find_site()["properties"]["customDetails"]["reprotectAgents"][0]
        back = WayBack(agent["id"], agent["id"], "", agent["accessibleDatastores"][0], vault.policies["failback"])
        wish = to_appliance(back, estate.targets.cache)
        for privilege in (
            "VirtualMachine.Interact.PowerOff",
            "VirtualMachine.Config.RemoveDisk",
            "VirtualMachine.Config.AddExistingDisk",
        ):
            allow(estate, [privilege])
            refused(lambda: vault.reprotect("web", wish))
        allow(estate)
        vault.reprotect("web", wish)
        vault.until_state("web", "Protected")
        for privilege in ("VirtualMachine.State.CreateSnapshot", "VirtualMachine.Interact.PowerOn"):
            allow(estate, [privilege])
            refused(lambda: vault.failover("web", shut_down=True, direction=REVERSE))
            assert estate.azure_running("web")
            allow(estate)
            estate.clock.wait(600)
        vault.failover("web", shut_down=True, direction=REVERSE)
        allow(estate, ["VirtualMachine.State.RevertToSnapshot"])
        refused(lambda: vault.verb("web", "failoverCancel"))
        allow(estate)
        vault.verb("web", "failoverCancel")
        assert estate.azure_running("web")


def test_what_the_account_may_not_see_is_not_discovered(tmp_path: Path) -> None:
    """VCP-004."""
    machines = [MachinePlan(name, "WINDOWS", [1 * MIB], workload=False) for name in ("web", "hidden")]
    with Estate.open(EstatePlan(machines=machines), tmp_path / "estate") as estate:
        estate.prepare_azure()
        estate.register_site()
        allow(estate, role=NO_ACCESS, machine="hidden")
        estate.add_vcenter()
        assert "hidden" not in estate.vault.protectable()
        assert "web" in estate.vault.protectable()
        allow(estate, role=ADMINISTRATOR, machine="hidden")
        estate.clock.wait(1000)
        assert "hidden" in estate.vault.protectable()
