"""The mobility agent: captures what a protected machine writes and sends it to the process server."""

from reference_impl.mobility_agent.agent import Agent

__all__ = ["Agent"]
