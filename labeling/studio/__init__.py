"""Label Studio: the local server, what people are asked there, and what they answered. Imported part by part."""
