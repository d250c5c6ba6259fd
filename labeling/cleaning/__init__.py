"""Faces that training is better off without: measured, marked with the reason, reviewed by people. Nothing is deleted."""
