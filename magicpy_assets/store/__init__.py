"""Our own files: where a product lies, and the record beside it."""
