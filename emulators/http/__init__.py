"""HTTP plumbing: WSGI applications called in process or served over TLS sockets, and what Flask faces share."""
