"""What a face is drawn of. Importing a part imports skia; `labeling.samples` itself does not."""
