"""What pages and API show beside the guide: frozen views, and the protocols they are read by.

Whoever starts a server hands in what does the work; pages and API know these shapes alone.
"""
