"""The product: from a client's request to a provider and back, admitted and settled."""
