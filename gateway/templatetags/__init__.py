"""Tags and filters of the pages: the frame's navigation, and figures as people read them."""
