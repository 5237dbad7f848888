"""The benchmark, `make bench`: Farebox beside other gateways, on one machine, in one interleaved run.

How it measures and why is in docs/benchmarks.md. Nothing here is imported by the product.
"""
