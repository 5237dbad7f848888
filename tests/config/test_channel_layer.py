"""The channel layer: a page that nothing happens on stays connected."""

from channels.layers import get_channel_layer


def test_a_read_may_take_longer_than_the_layer_waits_for_a_message():
    """redis-py gives up a read after 5 s by default, as long as the layer waits: the socket would close."""
    layer = get_channel_layer()

    assert layer.hosts[0]["socket_timeout"] > layer.brpop_timeout
