"""Where the operator's figures lie in Redis, for who writes and who reads them. Pure."""

# One hash of whole numbers by name.
FIGURES_KEY = "fb:operator:figures"
# Before a provider's name: its latest day's drift, in millionths of our cost.
DRIFT_PREFIX = "drift_ppm:"
