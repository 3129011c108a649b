"""What opens one estate opens no other."""

from pathlib import Path

import pytest

from drillbed.estate import Estate, EstatePlan
from reference_impl.vsphere import Session, VSphereError


def test_no_password_is_known_in_another_estate(tmp_path: Path) -> None:
    """Secrets are drawn for each estate: what opens one opens no other."""
    with Estate.open(EstatePlan(seed=1), tmp_path / "one") as one, Estate.open(EstatePlan(seed=2), tmp_path / "two") as two:
        secrets = [
            (estate.site.administrator[1], estate.site.replication[1], estate.machines.installer[1], estate.secret)
            for estate in (one, two)
        ]
        assert len({secret for found in secrets for secret in found}) == 8
        with pytest.raises(VSphereError) as refused:
            Session(two.operator.host, "vcenter.drillbed", 443, *one.site.administrator)
        assert refused.value.reason == "vcenter-login-failed"
        Session(two.operator.host, "vcenter.drillbed", 443, *two.site.administrator).__exit__(None, None, None)
