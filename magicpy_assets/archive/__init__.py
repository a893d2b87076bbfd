"""Getting data: the data server, the run catalogue, the runbooks."""
