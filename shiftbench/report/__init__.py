"""Reports: terminal tables, progress bars, figures and the page of a study."""
