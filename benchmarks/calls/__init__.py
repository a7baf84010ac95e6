"""Paid calls: what Touchstone's workers make of an endpoint, beside three other clients."""
