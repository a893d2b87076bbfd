"""The chain: sessions, stages, plans and runs. The records beside the products are the only truth."""
