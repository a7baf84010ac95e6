"""The plan: a resolved spec as a DAG of stages, each with its key."""
