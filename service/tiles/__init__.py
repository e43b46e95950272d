"""The finished map for web pages: where its files lie, how a tile is drawn, what colours mean, what is at a place."""
