// `ObjectStore`: the embedded one (SQLite, revisions, watch).
