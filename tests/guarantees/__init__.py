"""One file per guarantee: real processes, real servers, only the provider is simulated."""
