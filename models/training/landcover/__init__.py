"""Training of networks of land cover: folders of images and masks in, weights, graph and card out."""
