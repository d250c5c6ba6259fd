"""Booru tags of pictures, given or inferred, to labels of a schema."""
