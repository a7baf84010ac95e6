"""What services and workers agree on. Imports no service, and neither torch nor transformers."""
