"""Flows through the public door: what a client sends, what it reads, what is on the books after."""
