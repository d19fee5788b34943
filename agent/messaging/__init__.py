"""How a station talks over ZeroMQ: endpoints, topics, sockets, and the three services on them."""
