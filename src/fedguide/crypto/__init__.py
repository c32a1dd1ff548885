"""Keys and signatures; masks, sealed boxes and secret sharing come with later parts."""
