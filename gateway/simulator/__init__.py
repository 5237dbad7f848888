"""The simulated provider: an upstream for tests, benchmarks and the embedded default, with its own invoice.

It shares no code with the gateway, so that neither can hide the other's mistakes.
What it can do is described in docs/simulator.md.
"""
