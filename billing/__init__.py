"""What it costs, and the proof: prices, usage events and the double-entry ledger."""
