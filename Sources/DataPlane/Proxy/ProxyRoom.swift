// The hot room: listeners, connections, streams, pools, configuration snapshots, access log, admin, drain.
