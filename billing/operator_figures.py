"""Where the operator's figures lie in Redis, for who writes and who reads them. Pure."""

# One hash of whole numbers by name.
FIGURES_KEY = "fb:operator:figures"
