"""Where a request may go: the grammar of `model`, and the choice of targets. All pure."""
