// Buffers, slabs, rings, LRU, ids, deadlines, `Lock`, mailboxes, seeded random.
