"""The management API's ground: who calls, what is refused and how, pages of rows; and accounts' own calls."""
