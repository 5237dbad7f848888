"""The management API's calls of usage and of the request log."""
