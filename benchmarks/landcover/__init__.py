"""How right land cover maps are on tiles that nothing was learnt from: a forest, the network, and masks that vote."""
