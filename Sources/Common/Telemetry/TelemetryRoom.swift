// Counters, gauges, histograms, exposition.
