"""Where a command runs: this machine today, batch farms next."""
