-- Records of some buckets, person or order, and where the ledger ends, at one instant: they are compared with the fold up to there.
-- KEYS 1 ledger stream, 2.. buckets (hash)
-- Replies: {id of the last ledger entry or "", fields and values of bucket 2 in turn, of bucket 3, ...}
-- Keeps: nothing is written; the caller bounds the number of buckets.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local reply = { last and last[1] or '' }
for i = 2, #KEYS do
  reply[i] = redis.call('HGETALL', KEYS[i])
end
return reply
