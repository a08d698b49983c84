// One async HTTP server and client, and a thin face per protocol: Kubernetes API, DNS.
