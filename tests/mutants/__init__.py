"""Seeded bugs: each breaks one promise about money, and a named test must notice. Run by `make mutants`."""
