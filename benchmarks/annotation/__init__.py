"""How many actions an expert needs to label an image's masks: one by one, by clusters, with a classifier."""
