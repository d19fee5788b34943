"""The demo: the whole line on the embedded product, with nothing but what is installed."""
