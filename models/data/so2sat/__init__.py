"""So2Sat LCZ42: its files, read whole, streamed, described, drawn and exported."""
