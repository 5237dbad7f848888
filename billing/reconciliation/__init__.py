"""Reconciliation: what providers say they bill, beside what this ledger says they are owed.

`shapes` holds what an export becomes; `csv_file`, `openai_report` and `anthropic_report` read one
each and refuse what cannot be right; `importing` stores it; `our_side` sums our events; `matching`
lays both side by side and names what differs; `alerting` tells the operator.
"""
