"""Calling LLM endpoints: providers, the ledger of paid answers, and the caller that joins the two."""
