"""The vSphere Automation API of a vCenter, in its three dialects: `/api`, the older `/rest`, and JSON-RPC (what its SDK speaks).

Operations are functions in tables, one module for each part; types and addresses come from the vendor's SDK (`registry`).
"""
