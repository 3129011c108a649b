"""The objects that a host is managed through: firewall, services, time, accounts, certificates, network; asked by pyVmomi."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyVmomi import vim, vmodl


@pytest.fixture
def si(newest_si):
    return newest_si


@pytest.fixture
def host(site, si):
    return site.vm(si, "web").runtime.host


@pytest.fixture
def parts(host):
    return host.configManager


def row(items, key):
    return next(one for one in items if one.key == key)


def test_the_firewall(host, parts):
    firewall = parts.firewallSystem
    assert not row(firewall.firewallInfo.ruleset, "sshServer").enabled
    firewall.EnableRuleset("sshServer")
    assert row(host.config.firewall.ruleset, "sshServer").enabled
    firewall.DisableRuleset("sshServer")
    assert not row(firewall.firewallInfo.ruleset, "sshServer").enabled
    with pytest.raises(vim.fault.NotFound):
        firewall.EnableRuleset("nonsense")
    with pytest.raises(vim.fault.HostConfigFault):
        firewall.DisableRuleset("vpxHeartbeats")
    only = vim.host.Ruleset.IpList(allIp=False, ipAddress=["10.0.0.1"])
    firewall.UpdateRuleset("sshServer", vim.host.Ruleset.RulesetSpec(allowedHosts=only))
    assert list(row(firewall.firewallInfo.ruleset, "sshServer").allowedHosts.ipAddress) == ["10.0.0.1"]
    nobody = vim.host.Ruleset.RulesetSpec(allowedHosts=vim.host.Ruleset.IpList(allIp=False))
    with pytest.raises(vmodl.fault.InvalidArgument):
        firewall.UpdateRuleset("sshServer", nobody)
    firewall.UpdateDefaultPolicy(vim.host.FirewallInfo.DefaultPolicy(incomingBlocked=False))
    assert firewall.firewallInfo.defaultPolicy.incomingBlocked is False
    firewall.Refresh()


def test_services(host, parts):
    services = parts.serviceSystem
    services.Start("TSM-SSH")
    assert row(host.config.service.service, "TSM-SSH").running
    with pytest.raises(vim.fault.InvalidState):
        services.Start("TSM-SSH")
    services.Restart("TSM-SSH")
    services.Stop("TSM-SSH")
    assert not row(services.serviceInfo.service, "TSM-SSH").running
    services.UpdatePolicy("TSM-SSH", "on")
    assert row(services.serviceInfo.service, "TSM-SSH").policy == "on"
    for wrong, fault in (("vpxa", vim.fault.HostConfigFault), ("nonsense", vim.fault.NotFound)):
        with pytest.raises(fault):
            services.Stop(wrong)
    with pytest.raises(vmodl.fault.InvalidArgument):
        services.UpdatePolicy("TSM-SSH", "sometimes")
    services.Refresh()


def test_time(site, host, parts):
    time = parts.dateTimeSystem
    assert "Europe/Berlin" in [one.key for one in time.QueryAvailableTimeZones()]
    config = vim.host.DateTimeConfig(timeZone="Europe/Berlin", ntpConfig=vim.host.NtpConfig(server=["ntp.corp"]))
    time.UpdateConfig(config)
    assert (host.config.dateTimeInfo.timeZone.gmtOffset, list(time.dateTimeInfo.ntpConfig.server)) == (3600, ["ntp.corp"])
    with pytest.raises(vmodl.fault.InvalidArgument):
        time.UpdateConfig(vim.host.DateTimeConfig(timeZone="Mars"))
    now = time.QueryDateTime()
    time.UpdateDateTime(now + timedelta(hours=1))
    assert time.QueryDateTime() - now == timedelta(hours=1)
    assert not time.TestTimeService().workingNormally
    parts.serviceSystem.Start("ntpd")
    assert time.TestTimeService().workingNormally
    time.Refresh()


def test_accounts_and_access(host, parts):
    accounts, access = parts.accountManager, parts.hostAccessManager
    spec = vim.host.LocalAccountManager.AccountSpecification
    accounts.CreateUser(spec(id="audit", password="One!"))
    with pytest.raises(vim.fault.AlreadyExists):
        accounts.CreateUser(spec(id="audit"))
    with pytest.raises(vmodl.fault.InvalidArgument):
        accounts.CreateUser(spec(id="a b"))
    accounts.UpdateUser(spec(id="audit", password="Two!"))
    accounts.ChangePassword("audit", "Two!", "Three!")
    with pytest.raises(vim.fault.InvalidLogin):
        accounts.ChangePassword("audit", "Two!", "Four!")
    accounts.CreateGroup(spec(id="watchers"))
    accounts.AssignUserToGroup("audit", "watchers")
    with pytest.raises(vim.fault.AlreadyExists):
        accounts.AssignUserToGroup("audit", "watchers")
    accounts.UnassignUserFromGroup("audit", "watchers")
    with pytest.raises(vim.fault.UserNotFound):
        accounts.UnassignUserFromGroup("audit", "watchers")
    accounts.RemoveGroup("watchers")
    access.ChangeAccessMode("audit", False, "accessReadOnly")
    assert ("audit", "accessReadOnly") in [(one.principal, one.accessMode) for one in access.RetrieveAccessEntries()]
    access.UpdateSystemUsers(["audit"])
    access.UpdateLockdownExceptions(["audit"])
    assert (list(access.QuerySystemUsers()), list(access.QueryLockdownExceptions())) == (["audit"], ["audit"])
    access.ChangeLockdownMode("lockdownStrict")
    assert (access.lockdownMode, host.config.lockdownMode) == ("lockdownStrict", "lockdownStrict")
    accounts.RemoveUser("audit")
    with pytest.raises(vim.fault.UserNotFound):
        access.UpdateSystemUsers(["audit"])


def test_a_certificate_is_asked_for_and_installed(parts):
    certificates = parts.certificateManager
    with pytest.raises(vmodl.fault.InvalidArgument):
        certificates.GenerateCertificateSigningRequestByDn("nonsense", None)
    assert "CERTIFICATE REQUEST" in certificates.GenerateCertificateSigningRequestByDn("CN=esx.corp,O=Corp", None)
    text = certificates.GenerateCertificateSigningRequest(True, None)
    request = x509.load_pem_x509_csr(text.encode())
    key, start = ec.generate_private_key(ec.SECP256R1()), certificates.certificateInfo.notBefore.replace(tzinfo=None)
    name = x509.Name.from_rfc4514_string("CN=Corp CA")

    def signed(public):
        serial = x509.random_serial_number()
        made = x509.CertificateBuilder(name, request.subject, public, serial, start, start + timedelta(days=30))
        return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    with pytest.raises(vim.fault.HostConfigFault):
        certificates.InstallServerCertificate(signed(key.public_key()))
    certificates.InstallServerCertificate(signed(request.public_key()))
    assert certificates.certificateInfo.issuer == "CN=Corp CA"
    assert [one.subject for one in certificates.RetrieveCertificateInfoList()] == [request.subject.rfc4514_string()]
    with pytest.raises(vim.fault.HostConfigFault):
        certificates.ReplaceCACertificatesAndCRLs(["nonsense"], [])
    own = signed(key.public_key())
    certificates.ReplaceCACertificatesAndCRLs([own], [])
    assert (list(certificates.ListCACertificates()), list(certificates.ListCACertificateRevocationLists())) == (
        [own.replace("\r", "")],
        [],
    )


def test_machines_start_in_order(site, si, host, parts):
    start = parts.autoStartManager
    web = site.vm(si, "web")
    info = vim.host.AutoStartManager.AutoPowerInfo
    told = {"startDelay": 10, "waitForHeartbeat": "no", "startAction": "PowerOn", "stopDelay": 5, "stopAction": "PowerOff"}
    defaults = vim.host.AutoStartManager.SystemDefaults(enabled=True, startDelay=7)
    start.Reconfigure(vim.host.AutoStartManager.Config(defaults=defaults, powerInfo=[info(key=web, startOrder=1, **told)]))
    assert (start.config.defaults.startDelay, [one.key for one in host.config.autoStart.powerInfo]) == (7, [web])
    other = next(one for one in (site.vm(si, "db"),) if one.runtime.host != host)
    with pytest.raises(vmodl.fault.InvalidArgument):
        start.Reconfigure(vim.host.AutoStartManager.Config(powerInfo=[info(key=other, startOrder=2, **told)]))
    start.AutoPowerOn()
    site.clock.wait(30)
    assert web.runtime.powerState == "poweredOn"
    start.AutoPowerOff()
    site.clock.wait(30)
    assert web.runtime.powerState == "poweredOff"


def test_power_snmp_modules_boot_and_image(host, parts):
    power = parts.powerSystem
    power.ConfigurePolicy(1)
    assert (power.info.currentPolicy.shortName, len(power.capability.availablePolicy)) == ("static", 4)
    with pytest.raises(vmodl.fault.InvalidArgument):
        power.ConfigurePolicy(9)
    snmp = parts.snmpSystem
    snmp.ReconfigureSnmpAgent(vim.host.SnmpSystem.SnmpConfigSpec(enabled=True, readOnlyCommunities=["public"]))
    assert (snmp.configuration.enabled, list(snmp.configuration.readOnlyCommunities)) == (True, ["public"])
    many = ["c"] * (snmp.limits.maxReadOnlyCommunities + 1)
    with pytest.raises(vim.fault.InsufficientResourcesFault):
        snmp.ReconfigureSnmpAgent(vim.host.SnmpSystem.SnmpConfigSpec(readOnlyCommunities=many))
    modules = parts.kernelModuleSystem
    modules.UpdateModuleOptionString("nfsclient", "a=1")
    assert modules.QueryConfiguredModuleOptionString("nfsclient") == "a=1"
    assert "a=1" in [one.optionString for one in modules.QueryModules()]
    with pytest.raises(vim.fault.NotFound):
        modules.UpdateModuleOptionString("nonsense", "")
    boot = parts.bootDeviceSystem
    boot.UpdateBootDevice("network")
    assert boot.QueryBootDevices().currentBootDeviceKey == "network"
    with pytest.raises(vmodl.fault.InvalidArgument):
        boot.UpdateBootDevice("floppy")
    threads = parts.cpuScheduler
    threads.DisableHyperThreading()
    assert (threads.hyperthreadInfo.config, threads.hyperthreadInfo.active) == (False, True)
    threads.EnableHyperThreading()
    assert host.config.hyperThread.config
    image = parts.imageConfigManager
    image.UpdateAcceptanceLevel("community")
    assert (image.QueryHostAcceptanceLevel(), image.QueryHostImageProfile().vendor) == ("community", "VMware, Inc.")
    with pytest.raises(vmodl.fault.InvalidArgument):
        image.UpdateAcceptanceLevel("none")
    assert image.InstallDate() <= parts.dateTimeSystem.QueryDateTime()
    options = parts.advancedOption
    options.UpdateOptions([vim.option.OptionValue(key="NFS.MaxVolumes", value=64)])
    assert options.QueryOptions("NFS.MaxVolumes")[0].value == 64


# the network ---------------------------------------------------------------------------------------------------------


def group(name, switch="vSwitch1", vlan=0):
    return vim.host.PortGroup.Specification(name=name, vlanId=vlan, vswitchName=switch, policy=vim.host.NetworkPolicy())


def test_switches_and_port_groups(site, si, dc, host, parts):
    network = parts.networkSystem
    bridge = vim.host.VirtualSwitch.BondBridge(nicDevice=["vmnic1"])
    network.AddVirtualSwitch("vSwitch1", vim.host.VirtualSwitch.Specification(numPorts=64, bridge=bridge))
    with pytest.raises(vim.fault.AlreadyExists):
        network.AddVirtualSwitch("vSwitch1", None)
    with pytest.raises(vim.fault.ResourceInUse):
        network.AddVirtualSwitch("vSwitch2", vim.host.VirtualSwitch.Specification(numPorts=64, bridge=bridge))
    network.AddPortGroup(group("DMZ", vlan=42))
    assert "DMZ" in [one.name for one in host.network]
    assert "DMZ" in [one.name for one in dc.network]
    with pytest.raises(vim.fault.AlreadyExists):
        network.AddPortGroup(group("DMZ"))
    with pytest.raises(vim.fault.NotFound):
        network.AddPortGroup(group("X", "none"))
    with pytest.raises(vmodl.fault.InvalidArgument):
        network.AddPortGroup(group("X", vlan=5000))
    network.UpdatePortGroup("DMZ", group("Outer", vlan=43))
    assert [(one.spec.name, one.spec.vlanId) for one in host.config.network.portgroup][-1] == ("Outer", 43)
    assert "DMZ" not in [one.name for one in dc.network]
    with pytest.raises(vim.fault.ResourceInUse):
        network.RemovePortGroup("VM Network")
    network.UpdateVirtualSwitch("vSwitch1", vim.host.VirtualSwitch.Specification(numPorts=256))
    assert [one.numPorts for one in network.networkInfo.vswitch if one.name == "vSwitch1"] == [256]
    network.RemoveVirtualSwitch("vSwitch1")
    assert [one.name for one in network.networkInfo.vswitch] == ["vSwitch0"]
    assert "Outer" not in [one.name for one in host.network]
    network.AddPortGroup(group("Alone", "vSwitch0"))
    network.RemovePortGroup("Alone")
    assert "Alone" not in [one.name for one in dc.network]
    network.Refresh()


def interface(address, portgroup=None):
    ip = vim.host.IpConfig(dhcp=False, ipAddress=address, subnetMask="255.255.255.0")
    return vim.host.VirtualNic.Specification(ip=ip, portgroup=portgroup)


def test_interfaces_and_what_they_are_used_for(host, parts):
    network, uses, vmotion = parts.networkSystem, parts.virtualNicManager, parts.vmotionSystem
    device = network.AddVirtualNic("Management Network", interface("10.7.0.1"))
    assert device == "vmk1"
    with pytest.raises(vim.fault.HostConfigFault):
        network.AddVirtualNic("Management Network", interface("10.7.0.1"))
    with pytest.raises(vmodl.fault.InvalidArgument):
        network.AddVirtualNic("Management Network", interface("10.7.0.300"))
    network.UpdateVirtualNic(device, interface("10.7.0.2"))
    assert [one.spec.ip.ipAddress for one in host.config.network.vnic][1] == "10.7.0.2"
    uses.SelectVnic("vmotion", device)
    assert list(uses.QueryNetConfig("vmotion").selectedVnic) == ["key-vim.host.VirtualNic-vmk1"]
    assert vmotion.netConfig.selectedVnic == "key-vim.host.VirtualNic-vmk1"
    uses.DeselectVnic("vmotion", device)
    vmotion.SelectVnic(device)
    assert [one.nicType for one in uses.info.netConfig if one.selectedVnic] == ["management", "vmotion"]
    vmotion.DeselectVnic()
    with pytest.raises(vmodl.fault.InvalidArgument):
        uses.DeselectVnic("vmotion", device)
    with pytest.raises(vmodl.fault.InvalidArgument):
        uses.QueryNetConfig("coffee")
    with pytest.raises(vim.fault.HostConfigFault):
        network.RemoveVirtualNic("vmk0")
    network.RemoveVirtualNic(device)
    assert [one.device for one in network.networkInfo.vnic] == ["vmk0"]


def test_names_routes_cards_and_the_whole_at_once(host, parts):
    network = parts.networkSystem
    dns = vim.host.DnsConfig(dhcp=False, hostName="esx", domainName="corp", address=["10.0.0.2"])
    network.UpdateDnsConfig(dns)
    network.UpdateIpRouteConfig(vim.host.IpRouteConfig(defaultGateway="10.0.0.254"))
    assert (network.dnsConfig.domainName, network.ipRouteConfig.defaultGateway) == ("corp", "10.0.0.254")
    with pytest.raises(vmodl.fault.InvalidArgument):
        network.UpdateIpRouteConfig(vim.host.IpRouteConfig(defaultGateway="nowhere"))
    network.UpdatePhysicalNicLinkSpeed("vmnic0", vim.host.PhysicalNic.LinkSpeedDuplex(speedMb=1000, duplex=True))
    assert host.config.network.pnic[0].spec.linkSpeed.speedMb == 1000
    (hint,) = network.QueryNetworkHint(["vmnic0"])
    assert [one.ipSubnet for one in hint.subnet] == ["10.0.0.0/24"]
    with pytest.raises(vim.fault.NotFound):
        network.QueryNetworkHint(["vmnic9"])
    config = vim.host.NetworkConfig(
        vswitch=[vim.host.VirtualSwitch.Config(changeOperation="add", name="vSwitch3")],
        portgroup=[vim.host.PortGroup.Config(changeOperation="add", spec=group("Three", "vSwitch3"))],
        vnic=[vim.host.VirtualNic.Config(changeOperation="add", portgroup="Three", spec=interface("10.8.0.1"))],
    )
    assert list(network.UpdateNetworkConfig(config, "modify").vnicDevice) == ["vmk1"]
    bad = vim.host.NetworkConfig(
        vswitch=[vim.host.VirtualSwitch.Config(changeOperation="add", name="vSwitch4")],
        portgroup=[vim.host.PortGroup.Config(changeOperation="add", spec=group("Four", "none"))],
    )
    with pytest.raises(vim.fault.NotFound):
        network.UpdateNetworkConfig(bad, "modify")
    assert [one.name for one in network.networkConfig.vswitch] == ["vSwitch0", "vSwitch3"]
    assert network.capabilities.supportsVlan
