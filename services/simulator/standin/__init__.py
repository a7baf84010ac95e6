"""The simulator as a provider that misbehaves as told: limits, errors, broken connections, batches, and a bill."""
