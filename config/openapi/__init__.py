"""The OpenAPI document: what views tell, and what the data plane cannot tell by itself."""
