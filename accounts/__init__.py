"""Who: people, organizations, roles, projects and API keys. What they cost is in billing."""
