"""How right a map is: accuracies, areas with intervals, their spread over resamples, and calibration."""
