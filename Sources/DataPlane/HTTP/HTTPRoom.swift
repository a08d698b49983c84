// HTTP/1 parser and writer, one header block, framing facts: no sockets.
