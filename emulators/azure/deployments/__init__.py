"""Microsoft.Resources/deployments: templates of resources, their expressions, and the run that makes them in order."""

from emulators.azure.deployments.service import Deployments

__all__ = ["Deployments"]
