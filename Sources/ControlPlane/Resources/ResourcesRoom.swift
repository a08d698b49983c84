// Kubernetes-shaped objects: kinds, selectors, quantities, defaulting, validation, tables.
