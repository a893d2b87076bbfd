"""The embedded MAGIC: simulated showers, nights, Monte Carlo files and the archive that serves them."""
