"""A small replication product that is right: agent, process server, configuration server, master target, replica worker."""
