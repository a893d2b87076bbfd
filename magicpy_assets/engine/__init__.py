"""The embedded MARS programs: read, compute, write. No idea of cells or of Dagster."""
