"""The command line: thin commands over the rooms below; imports nothing heavy before it must."""
