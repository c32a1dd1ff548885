"""The guide at work: a release and a shop's own histories in, picks with reasons out."""
