// Pod life cycle, probes, logs, images and the process runtime.
