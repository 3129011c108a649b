"""Deployments of templates through the vendor's SDK: order, expressions, outputs, failures, what-if, complete mode."""

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resource.deployments import DeploymentsMgmtClient
from azure.mgmt.resource.resources import ResourceManagementClient

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
NET = "Microsoft.Network/"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
FIRST = "reference(resourceId('Microsoft.Network/networkInterfaces', 'web-nic0'))"


@pytest.fixture
def client(cloud: Any) -> Any:
    cloud.azure.add_group("rg")
    return cloud.client(DeploymentsMgmtClient)


def template(*resources: Any, **more: Any) -> dict[str, Any]:
    return {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": list(resources), **more}


def resource(kind: str, name: str, properties: Any = None, **more: Any) -> dict[str, Any]:
    made = {"type": kind, "apiVersion": "2024-05-01", "name": name, "location": "[resourceGroup().location]", **more}
    if name.count("/"):  # a child is where its parent is
        del made["location"]
    return {**made, "properties": properties} if properties is not None else made


def deploy(client: Any, given: Any, *, name: str = "one", mode: str = "Incremental", **parameters: Any) -> Any:
    values = {key: {"value": value} for key, value in parameters.items()}
    body = {"properties": {"mode": mode, "template": given, "parameters": values}}
    return client.deployments.begin_create_or_update("rg", name, body).result()


def steps(client: Any, name: str = "one") -> list[tuple[str, str]]:
    found = [one.properties for one in client.deployment_operations.list("rg", name)]
    return [(one.target_resource.resource_name, one.provisioning_state) for one in found]


def doubling(function: str) -> dict[str, str]:
    """Variables of which each is twice the one before."""
    return {"v0": "x"} | {f"v{at}": f"[{function}(variables('v{at - 1}'), variables('v{at - 1}'))]" for at in range(1, 41)}


VNET = resource(NET + "virtualNetworks", "[variables('net')]", {"addressSpace": {"addressPrefixes": ["[parameters('prefix')]"]}})
SUBNET = resource(
    NET + "virtualNetworks/subnets",
    "[concat(variables('net'), '/default')]",
    {"addressPrefix": "10.7.1.0/24"},
    dependsOn=["[resourceId('Microsoft.Network/virtualNetworks', variables('net'))]"],
)
NIC = resource(
    NET + "networkInterfaces",
    "[format('{0}-nic{1}', parameters('name'), copyIndex())]",
    {
        "ipConfigurations": [
            {
                "name": "ip",
                "properties": {
                    "subnet": {"id": "[resourceId('Microsoft.Network/virtualNetworks/subnets', variables('net'), 'default')]"}
                },
            }
        ]
    },
    copy={"name": "nics", "count": "[parameters('nics')]"},
    dependsOn=["[resourceId('Microsoft.Network/virtualNetworks/subnets', variables('net'), 'default')]"],
)
WHOLE = template(
    NIC,
    SUBNET,
    VNET,
    parameters={
        "name": {"type": "string", "defaultValue": "web"},
        "prefix": {"type": "string"},
        "nics": {"type": "int", "defaultValue": 2, "maxValue": 4},
        "secret": {"type": "securestring", "defaultValue": "hush"},
    },
    variables={"net": "[toLower(concat(parameters('name'), '-NET'))]"},
    outputs={
        "address": {"type": "string", "value": f"[{FIRST}.ipConfigurations[0].properties.privateIPAddress]"},
        "where": {"type": "string", "value": "[[not an expression]"},
        "hidden": {"type": "securestring", "value": "[parameters('secret')]"},
    },
)  # fmt: skip


def test_a_template_is_made_in_the_order_it_depends(cloud: Any, client: Any) -> None:
    made = deploy(client, WHOLE, prefix="10.7.0.0/16").properties
    assert made.provisioning_state == "Succeeded"
    assert made.outputs == {
        "address": {"type": "string", "value": "10.7.1.4"},
        "where": {"type": "string", "value": "[not an expression]"},
    }
    assert made.parameters["secret"] == {"type": "securestring"}
    assert "hush" not in str(made.as_dict())
    assert steps(client) == [
        ("web-net", "Succeeded"),
        ("web-net/default", "Succeeded"),
        ("web-nic0", "Succeeded"),
        ("web-nic1", "Succeeded"),
    ]
    assert [one.id.rsplit("/", 1)[1] for one in made.output_resources] == ["web-nic0", "web-nic1", "default", "web-net"]
    assert client.deployments.check_existence("rg", "ONE")
    assert [one.name for one in client.deployments.list_by_resource_group("rg")] == ["one"]
    assert list(client.deployments.list_by_resource_group("rg", filter="provisioningState eq 'Failed'")) == []
    assert client.deployments.export_template("rg", "one").template["variables"] == WHOLE["variables"]
    assert cloud.statuses("PUT", "/deployments/one") == [201]
    deploy(client, WHOLE, prefix="10.7.0.0/16")
    assert cloud.statuses("PUT", "/deployments/one") == [201, 200]
    assert [one.name for one in cloud.client(ResourceManagementClient).resources.list_by_resource_group("rg")] == [
        "web-net",
        "web-nic0",
        "web-nic1",
    ]
    client.deployments.begin_delete("rg", "one").result()
    assert not client.deployments.check_existence("rg", "one")


def test_a_machine_as_the_command_line_makes_it(cloud: Any, client: Any) -> None:
    """Literal resources, dependencies by name, a disk from an image: what `az vm create` sends."""
    deploy(client, WHOLE, prefix="10.7.0.0/16", nics=1)
    nic = f"{cloud.azure.group_id('rg')}/providers/Microsoft.Network/networkInterfaces/web-nic0"
    pip = resource(
        NET + "publicIPAddresses", "vmPublicIP", {"publicIPAllocationMethod": "Static"}, sku={"name": "Standard"}, dependsOn=[]
    )
    pip["location"] = "westeurope"
    vm = resource(
        "Microsoft.Compute/virtualMachines",
        "vm",
        {
            "hardwareProfile": {"vmSize": "Standard_DS1_v2"},
            "networkProfile": {"networkInterfaces": [{"id": nic, "properties": {"deleteOption": None}}]},
            "storageProfile": {
                "osDisk": {
                    "createOption": "fromImage",
                    "name": None,
                    "caching": "ReadWrite",
                    "managedDisk": {"storageAccountType": None},
                },
                "imageReference": {"publisher": "Canonical", "offer": "ubuntu", "sku": "22_04-lts", "version": "latest"},
            },
            "osProfile": {"computerName": "vm", "adminUsername": "me", "adminPassword": "[parameters('adminPassword')]"},
        },
        dependsOn=["Microsoft.Network/publicIPAddresses/vmPublicIP"],
        tags={},
    )
    vm["location"] = "westeurope"
    given = template(pip, vm, parameters={"adminPassword": {"type": "securestring"}}, variables={}, outputs={})
    deploy(client, given, name="vm_deploy", adminPassword="secret-password")
    machine = cloud.client(ComputeManagementClient).virtual_machines.get("rg", "vm", expand="instanceView")
    assert machine.instance_view.statuses[1].display_status == "VM running"
    assert machine.os_profile.admin_password is None
    assert steps(client, "vm_deploy")[0][0] == "vmPublicIP"


def test_a_failure_stops_only_what_depends_on_it(cloud: Any, client: Any) -> None:
    bad = resource(NET + "virtualNetworks", "bad", {"addressSpace": {"addressPrefixes": ["10.0.0.1/8"]}})
    child = resource(NET + "virtualNetworks/subnets", "bad/x", {"addressPrefix": "10.0.0.0/24"}, dependsOn=["bad"])
    other = resource(NET + "virtualNetworks", "good", {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}})
    with pytest.raises(HttpResponseError) as refused:
        deploy(client, template(bad, child, other))
    assert refused.value.error.code == "DeploymentFailed"
    assert [one.code for one in refused.value.error.details] == ["InvalidCIDRNotation"]
    assert sorted(steps(client)) == [("bad", "Failed"), ("good", "Succeeded")]
    shown = client.deployments.get("rg", "one").properties
    assert (shown.provisioning_state, shown.error.code) == ("Failed", "DeploymentFailed")


def test_who_deploys_needs_the_right_to_each_resource(cloud: Any, client: Any) -> None:
    client_id = "44444444-4444-4444-4444-444444444444"
    _, secret = cloud.azure.add_client(client_id, "", ["Reader"])
    reader = cloud.client(DeploymentsMgmtClient, cloud.credential(client_id, secret))
    with pytest.raises(HttpResponseError) as refused:
        deploy(reader, template())
    assert refused.value.error.code == "AuthorizationFailed"
    role = resource(
        "Microsoft.Authorization/roleAssignments",
        "[guid(resourceGroup().id)]",
        {
            "principalId": cloud.azure.login.clients[client_id].object_id,
            "roleDefinitionId": f"[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{CONTRIBUTOR}')]",
        },
    )
    deploy(client, template(role))  # as owner
    net = resource(NET + "virtualNetworks", "n", {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}})
    deploy(reader, template(net), name="two")
    with pytest.raises(HttpResponseError) as refused:
        deploy(reader, template({**role, "name": "[guid('other')]"}), name="three")
    assert [one.code for one in refused.value.error.details] == ["AuthorizationFailed"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (template(VNET), "variable"),
        ({**WHOLE, "parameters": {**WHOLE["parameters"], "prefix": {"type": "colour"}}}, "colour"),
        (template(resource(NET + "virtualNetworks", "[concat('a']")), "lacks"),
        (template(resource(NET + "virtualNetworks", "[nonsense()]")), "nonsense"),
        (template(resource(NET + "virtualNetworks", "a/b", {})), "segment"),
        (template(resource(NET + "virtualNetworks", "a", {}), resource(NET + "virtualNetworks", "A", {})), "multiple times"),
        (template(resource(NET + "virtualNetworks", "a", {}, dependsOn=["b"])), "not defined"),
        (template(*(resource(NET + "virtualNetworks", one, {}, dependsOn=[two]) for one, two in ("ab", "ba"))), "Circular"),
        (template(resource(NET + "virtualNetworks", "[" + "concat(" * 100 + "'a'" + ")" * 100 + "]")), "deeply"),
        (template(7), "not an object"),
        (template(resource(NET + "virtualNetworks", "[variables('v40')]"), variables=doubling("concat")), "too l"),
        (template(resource(NET + "virtualNetworks", "[string(variables('v40'))]"), variables=doubling("createArray")), "too l"),
        (template({"type": NET + "virtualNetworks", "name": "x"}), "apiVersion"),
        (template(resource("Microsoft.Nothing/things", "x")), "NoRegisteredProviderFound"),
        ({"resources": []}, "schema"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_is_refused_at_once(cloud: Any, client: Any, given: Any, words: str) -> None:
    for ask in (client.deployments.begin_create_or_update, client.deployments.begin_validate, client.deployments.begin_what_if):
        with pytest.raises(HttpResponseError, match=words) as refused:
            ask("rg", "bad", {"properties": {"mode": "Incremental", "template": given}})
        assert refused.value.status_code == 400
    assert not client.deployments.check_existence("rg", "bad")
    assert len(cloud.azure.store) == 1


def test_parameters_are_checked(client: Any) -> None:
    for wrong, words in (
        ({"prefix": 5}, "type"),
        ({"prefix": "10.0.0.0/8", "nics": 9}, "limits"),
        ({"prefix": "10.0.0.0/8", "colour": "red"}, "colour"),
        ({}, "prefix"),
    ):
        with pytest.raises(HttpResponseError, match=words):
            deploy(client, WHOLE, **wrong)


def test_validation_and_what_if_change_nothing(cloud: Any, client: Any) -> None:
    body = {"properties": {"mode": "Incremental", "template": WHOLE, "parameters": {"prefix": {"value": "10.7.0.0/16"}}}}
    checked = client.deployments.begin_validate("rg", "one", body).result().properties
    assert (checked.provisioning_state, len(checked.validated_resources)) == ("Succeeded", 4)

    def changes(prefix: str) -> dict[str, str]:
        body["properties"]["parameters"]["prefix"]["value"] = prefix
        result = client.deployments.begin_what_if("rg", "one", body).result()
        return {one.resource_id.rsplit("/", 1)[1]: one.change_type for one in result.changes}

    assert changes("10.7.0.0/16") == dict.fromkeys(("web-nic0", "web-nic1", "default", "web-net"), "Create")
    assert len(cloud.azure.store) == 1
    deploy(client, WHOLE, prefix="10.7.0.0/16")
    assert changes("10.7.0.0/16") == dict.fromkeys(("web-nic0", "web-nic1", "default", "web-net"), "NoChange")
    assert changes("10.0.0.0/8")["web-net"] == "Modify"


def test_complete_mode_removes_what_the_template_has_not(cloud: Any, client: Any) -> None:
    deploy(client, WHOLE, prefix="10.7.0.0/16")
    net = resource(NET + "virtualNetworks", "web-net", {"addressSpace": {"addressPrefixes": ["10.7.0.0/16"]}, "subnets": []})
    with pytest.raises(HttpResponseError, match="InUseSubnetCannotBeDeleted"):
        deploy(client, template(net), name="two", mode="Complete")
    keep = resource(NET + "publicIPAddresses", "pip", {"publicIPAllocationMethod": "Static"}, sku={"name": "Standard"})
    deploy(client, template(keep), name="three", mode="Complete")
    assert [one.name for one in cloud.client(ResourceManagementClient).resources.list_by_resource_group("rg")] == ["pip"]


def test_a_subscription_is_deployed_with_groups_and_nested_templates(cloud: Any, client: Any) -> None:
    inner = template(
        resource(NET + "virtualNetworks", "[parameters('name')]", {"addressSpace": {"addressPrefixes": ["10.9.0.0/16"]}}),
        parameters={"name": {"type": "string"}},
        outputs={"id": {"type": "string", "value": "[resourceId('Microsoft.Network/virtualNetworks', parameters('name'))]"}},
    )
    nested = {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": "2022-09-01",
        "name": "inside",
        "resourceGroup": "made",
        "dependsOn": ["made"],
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": {"scope": "inner"},
            "parameters": {"name": {"value": "[toLower('NET')]"}},
            "template": inner,
        },
    }
    group = {"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2022-09-01", "name": "made", "location": "northeurope"}
    outputs = {"net": {"type": "string", "value": "[reference('inside').outputs.id.value]"}}
    body = {"location": "westeurope", "properties": {"mode": "Incremental", "template": template(nested, group, outputs=outputs)}}
    made = client.deployments.begin_create_or_update_at_subscription_scope("whole", body).result().properties
    expected = f"{cloud.azure.group_id('made')}/providers/Microsoft.Network/virtualNetworks/net"
    assert made.outputs["net"]["value"] == expected
    assert [one.name for one in client.deployments.list_at_subscription_scope()] == ["whole"]
    found = cloud.client(ResourceManagementClient).resources.get_by_id(expected, api_version="2024-05-01")
    assert found.location == "northeurope"


def test_a_deployment_is_cancelled_and_not_replaced_meanwhile(cloud: Any, client: Any) -> None:
    if cloud.azure.arm.operations.fast:
        pytest.skip("in fast mode it is over at once; the real service's times are tested")
    net = resource(NET + "virtualNetworks", "n", {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}})
    body = {"properties": {"mode": "Incremental", "template": template(net)}}
    client.deployments.begin_create_or_update("rg", "one", body, polling=False)  # a poller would move the clock
    with pytest.raises(HttpResponseError, match="DeploymentActive"):
        client.deployments.begin_create_or_update("rg", "one", body, polling=False)
    client.deployments.cancel("rg", "one")
    assert client.deployments.get("rg", "one").properties.provisioning_state == "Canceled"
    with pytest.raises(HttpResponseError, match="DeploymentCannotBeCancelled"):
        client.deployments.cancel("rg", "one")
    with pytest.raises(ResourceNotFoundError):
        client.deployments.get("rg", "none")
