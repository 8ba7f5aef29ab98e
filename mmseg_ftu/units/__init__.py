"""Units as rows of tables: how many there are, how large, where."""
