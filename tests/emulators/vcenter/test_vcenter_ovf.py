"""OVF descriptors, ours and others', asked by pyVmomi: what they say, what is made of them, and what is refused."""

import pytest
from pyVmomi import vim, vmodl

OTHER = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
 xmlns:vmw="http://www.vmware.com/schema/ovf">
 <References>
  <File ovf:href="tiny-disk1.vmdk" ovf:id="file1" ovf:size="10595840"/>
  <File ovf:href="cd.iso" ovf:id="file2" ovf:size="500"/>
 </References>
 <DiskSection><Info/>
  <Disk ovf:capacity="30" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="vmdisk1" ovf:fileRef="file1"
   ovf:populatedSize="18743296"/>
 </DiskSection>
 <NetworkSection><Info/><Network ovf:name="bridged"><Description>The bridged network</Description></Network></NetworkSection>
 <DeploymentOptionSection><Info/>
  <Configuration ovf:id="small"><Label>Small</Label><Description>for labs</Description></Configuration>
  <Configuration ovf:id="large" ovf:default="true"><Label>Large</Label><Description>for sites</Description></Configuration>
 </DeploymentOptionSection>
 <VirtualSystem ovf:id="vm"><Info/><Name>tiny linux</Name>
  <EulaSection><Info/><License>Be kind.</License></EulaSection>
  <ProductSection><Info/><Product>Tiny</Product><Vendor>Someone</Vendor><Version>1</Version><FullVersion>1.2</FullVersion></ProductSection>
  <AnnotationSection><Info/><Annotation>small</Annotation></AnnotationSection>
  <OperatingSystemSection ovf:id="36" vmw:osType="otherLinuxGuest"><Info/></OperatingSystemSection>
  <VirtualHardwareSection><Info/>
   <System><vssd:ElementName>x</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID>
    <vssd:VirtualSystemType>vmx-09</vssd:VirtualSystemType></System>
   <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
   <Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
   <Item><rasd:Address>0</rasd:Address><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>
    <rasd:ResourceType>6</rasd:ResourceType></Item>
   <Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource>
    <rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
   <Item><rasd:Connection>bridged</rasd:Connection><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceSubType>E1000</rasd:ResourceSubType>
    <rasd:ResourceType>10</rasd:ResourceType></Item>
   <Item><rasd:HostResource>ovf:/file/file2</rasd:HostResource><rasd:InstanceID>6</rasd:InstanceID><rasd:ResourceType>15</rasd:ResourceType></Item>
   <Item><rasd:ElementName>sound</rasd:ElementName><rasd:InstanceID>7</rasd:InstanceID><rasd:ResourceType>35</rasd:ResourceType></Item>
  </VirtualHardwareSection>
 </VirtualSystem>
</Envelope>
"""


@pytest.fixture
def ovf(si):
    return si.content.ovfManager


def parsed(ovf, text):
    return ovf.ParseDescriptor(text, vim.OvfManager.ParseDescriptorParams(locale="US", deploymentOption=""))


def spec_for(si, text, **more):
    dc = si.content.rootFolder.childEntity[0]
    pool = si.content.searchIndex.FindByInventoryPath("DC0/host/DC0_C0/Resources")
    params = {"locale": "", "deploymentOption": "", "entityName": "", **more}
    return si.content.ovfManager.CreateImportSpec(text, pool, dc.datastore[0], vim.OvfManager.CreateImportSpecParams(**params))


def test_a_descriptor_tells_what_it_holds(ovf):
    found = parsed(ovf, OTHER)
    assert (found.defaultEntityName, found.virtualApp, found.annotation) == ("tiny linux", False, "small")
    assert (found.approximateDownloadSize, found.approximateFlatDeploymentSize) == (10596340, 30 << 20)
    assert found.approximateSparseDeploymentSize == 18743296
    assert [(one.name, one.description) for one in found.network] == [("bridged", "The bridged network")]
    assert [one.key for one in found.deploymentOption] == ["large", "small"]
    assert (found.defaultDeploymentOption, list(found.eula), found.productInfo.fullVersion) == ("large", ["Be kind."], "1.2")
    assert list(found.error) == []


def test_an_import_spec_holds_the_hardware_and_names_the_files(site, si):
    network = si.content.rootFolder.childEntity[0].network[0]
    mapping = [vim.OvfManager.NetworkMapping(name="bridged", network=network)]
    result = spec_for(si, OTHER, networkMapping=mapping, diskProvisioning="thick")
    config = result.importSpec.configSpec
    assert (config.name, config.numCPUs, config.memoryMB, config.guestId) == ("tiny linux", 2, 512, "otherLinuxGuest")
    kinds = [type(one.device).__name__.rpartition(".")[2] for one in config.deviceChange]
    assert kinds == ["VirtualLsiLogicController", "VirtualDisk", "VirtualE1000", "VirtualCdrom"]
    assert config.deviceChange[1].device.backing.thinProvisioned is False
    files = [(one.deviceId, one.path, one.size, one.create) for one in result.fileItem]
    assert files == [
        ("/tiny linux/VirtualLsiLogicController0:0", "tiny-disk1.vmdk", 10595840, False),
        ("/tiny linux/VirtualIDEController0:-1", "cd.iso", 500, True),
    ]
    assert [type(one) for one in result.warning] == [vim.fault.OvfUnsupportedElement]
    assert len(spec_for(si, OTHER).warning) == 2, "a network that nobody mapped is told"


def test_an_image_of_a_drive_comes_with_the_machine(site, si):
    result = spec_for(si, OTHER)
    dc = si.content.rootFolder.childEntity[0]
    pool = si.content.searchIndex.FindByInventoryPath("DC0/host/DC0_C0/Resources")
    lease = pool.ImportVApp(result.importSpec, dc.vmFolder)
    site.clock.wait(2)
    image = next(one for one in lease.info.deviceUrl if not one.disk)
    connection = site.client.connection("vcenter", 443)
    connection.request("PUT", image.url.partition("*")[2], body=b"CD001" * 100)
    assert connection.getresponse().status == 201
    lease.HttpNfcLeaseComplete()
    drive = next(one for one in lease.info.entity.config.hardware.device if isinstance(one, vim.vm.device.VirtualCdrom))
    assert drive.backing.fileName == "[LocalDS_0] tiny linux/cd.iso"
    folder = site.vcenter.inventory.stores[dc.datastore[0]._moId].folder
    assert (folder / "tiny linux/cd.iso").read_bytes() == b"CD001" * 100


def test_a_host_says_what_it_can_run(si, ovf):
    host = si.content.searchIndex.FindByInventoryPath("DC0/host/DC0_C0/DC0_C0_H0")
    params = vim.OvfManager.ValidateHostParams(locale="", deploymentOption="")
    good = ovf.ValidateHost(OTHER, host, params)
    assert (good.downloadSize, list(good.error)) == (10596340, [])
    assert "thin" in good.supportedDiskProvisioning
    large = OTHER.replace("<rasd:VirtualQuantity>2<", "<rasd:VirtualQuantity>500<")
    assert [type(one) for one in ovf.ValidateHost(large, host, params).error] == [vim.fault.OvfHostValueNotParsed]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("<Envelope", "<Other", vim.fault.OvfXmlFormat),
        (OTHER, "", vim.fault.OvfXmlFormat),
        (OTHER, "<a/>", vim.fault.OvfInvalidPackage),
        ("<Envelope", '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Envelope', vim.fault.OvfInvalidPackage),
        ('href="tiny-disk1.vmdk"', 'href="../../etc/passwd"', vim.fault.OvfInvalidValue),
        ('size="10595840"', 'size="-1"', vim.fault.OvfInvalidValue),
        ('capacity="30"', 'capacity="lots"', vim.fault.OvfInvalidValue),
        ('capacity="30"', 'capacity="999999999999999999"', vim.fault.OvfInvalidValue),
        ('fileRef="file1"', 'fileRef="file9"', vim.fault.OvfInvalidValue),
        ("ovf:/disk/vmdisk1", "ovf:/disk/other", vim.fault.OvfInvalidValue),
        ("<rasd:Parent>3<", "<rasd:Parent>77<", vim.fault.OvfInvalidValue),
        ("VirtualHardwareSection", "Other", vim.fault.OvfMissingElement),
        ("<VirtualSystem ", "<Nothing ", vim.fault.OvfXmlFormat),
    ],
)
def test_what_is_wrong_with_a_descriptor_is_told_as_an_error(si, old, new, fault):
    result = spec_for(si, OTHER.replace(old, new))
    assert ([type(one) for one in result.error], result.importSpec) == ([fault], None)
    assert list(spec_for(si, OTHER).error) == []


def test_our_own_descriptor_is_understood(si, ovf, site):
    vm = site.vm(si, "db")
    text = ovf.CreateDescriptor(vm, vim.OvfManager.CreateDescriptorParams(name="db2", description="two disks")).ovfDescriptor
    found = parsed(ovf, text)
    assert (found.defaultEntityName, found.annotation, found.approximateFlatDeploymentSize) == ("db2", "two disks", 6 << 20)
    assert [one.name for one in found.network] == ["VM Network"]
    with pytest.raises(vmodl.fault.InvalidArgument):
        ovf.CreateDescriptor(si.content.rootFolder, vim.OvfManager.CreateDescriptorParams())
