// Namespaces, mounts, in-pod sockets.
