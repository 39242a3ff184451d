-- Puts a person on a round's list, or answers what is there already. What a channel has taken down and brings later has its own time:
-- where the earliest counts, it replaces a later entry.
-- KEYS 1 header hash, 2 ledger stream, 3.. person buckets (hash)
-- ARGV member flat: a wish, as reservation_enter.lua reads it; the terms are shared
-- Replies: refused already_reserved {channel, choice, at}; refused reservation_full; refused limit_reached {limit}; replay {replaced 0, at};
--   ok {replaced 0, at}; ok {replaced 1, at, of what was there channel, choice, at, digests}; 0 = ok, entered at the second of the call
-- Keeps: one entry per person and round (and channel); a round's counters (by channel and choice) are the numbers of its entries.
return answer_flat(judge)
