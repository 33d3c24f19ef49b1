"""Put load on a server and measure how it bears it: what `segserve bench` does."""
