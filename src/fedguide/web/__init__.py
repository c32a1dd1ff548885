"""Server-rendered pages of the guide, in Chinese and English, without outside requests."""
