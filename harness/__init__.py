"""Asks a disaster-recovery product what the documents promise, judges, and reports. Knows no product.

    from harness.conform import run
    run(["reference", "--claim", "core,failback"])

A vendor writes a driver against `harness.product`; `docs/writing-a-driver.md` shows how.
"""
