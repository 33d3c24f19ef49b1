"""Try a scaling policy out on a made-up day: what `segserve simulate` does."""
