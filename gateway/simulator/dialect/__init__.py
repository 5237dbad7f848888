"""How an answer reads in each provider's dialect: one file each, pure."""
