"""The conductor: the only place that decides what runs next. See `reconcile.py` for the loop."""
