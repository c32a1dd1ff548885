"""What is learned and how it is judged: the guide network, its rivals, metrics and releases."""
