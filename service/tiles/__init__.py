"""The finished map as tiles for web pages: where its file lies, how a tile is drawn, what its colours mean."""
