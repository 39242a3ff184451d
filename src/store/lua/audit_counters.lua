-- Everything a shard counts, and where its ledger ends, at one instant.
-- KEYS 1 header hash, 2 ledger stream
-- Replies: {epoch, seq, id of the last ledger entry or "", its fields, header fields and values in turn}
-- Keeps: nothing is written.
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
return {
  redis.call('HGET', KEYS[1], 'epoch') or '0',
  redis.call('HGET', KEYS[1], 'seq') or '0',
  last and last[1] or '',
  last and last[2] or {},
  redis.call('HGETALL', KEYS[1]),
}
