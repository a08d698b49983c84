// Reconcile loops: workloads, endpoints, mesh.
