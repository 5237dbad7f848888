"""The contract's rows, the tests that prove them, and the page that lays both side by side."""
