"""The management API's calls of keys, projects, budgets and limits."""
