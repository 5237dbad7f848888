"""What happened: rollups of usage events and the pages that show them."""
