"""Payment processors behind one interface; which one is used is a setting."""
