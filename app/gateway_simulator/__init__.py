"""A simulated payment gateway: a separate process with an HTTP API, a ledger and fault knobs.

It imports nothing from the shop; the two communicate only over HTTP. Start it with
``python -m gateway_simulator`` in the folder ``app``.
"""
