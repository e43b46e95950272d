"""What maps: classes, cards, networks, data sets, training and export. Imports no other room."""
