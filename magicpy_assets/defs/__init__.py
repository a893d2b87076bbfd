"""The Dagster front: partitions, resources, assets, checks, automation. Files here only wire."""
