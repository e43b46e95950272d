"""Folders of aerial images with masks of land cover: their classes, and their pixels."""
