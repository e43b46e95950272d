"""Maps cities of growing size through the whole service and tells what that took: time, memory, linearity."""
