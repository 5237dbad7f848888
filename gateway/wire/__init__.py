"""The client's side of the wire: requests in, answers, streams, lists and failures out. All pure."""
