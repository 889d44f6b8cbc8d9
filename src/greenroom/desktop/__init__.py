"""One running greenroom on a desktop: its launch, its settings file, its signals."""
