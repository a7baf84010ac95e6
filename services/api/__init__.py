"""The API: specs in, state, events and reports out, and the first page. Decides nothing: the conductor does."""
