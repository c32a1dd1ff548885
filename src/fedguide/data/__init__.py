"""Events and items: importers, the shop's store, checks, baskets, shops, the synthetic market."""
