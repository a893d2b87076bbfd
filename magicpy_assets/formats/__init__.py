"""Files of others, read and written: MARS ROOT trees, run cards, run reports, GADF."""
