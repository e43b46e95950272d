"""Annotation by clusters of masks: segments of an image, what describes them, their clusters, a classifier, exports."""
