"""Stand-ins for the work of stages: real queues, leases, commits and processes around work that takes a set time."""
