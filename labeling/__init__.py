"""What a face is and who said what about it: schema, provenance, the label table, ingest, sample faces, the workspace."""
