package agent

import (
	"sync"
	"sync/atomic"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// book is what the clients were told, and judges it as it comes.
type simBook struct {
	p *simPool

	mu      sync.Mutex // guards all below
	seen    map[spot]string
	all     map[spot]string // acked with acks=all
	one     map[spot]string // acked with acks=1
	made    []*simSender
	ends    [simPartitions]topic.Offset // acked, read or answered: no answer of an owner may lie below
	least   [simPartitions]topic.Offset // log starts that were acked or answered: no answer of an owner may lie below
	most    [simPartitions]topic.Offset // the highest that was asked for: no log start may lie above
	shown   map[*simProcess]*[simPartitions]topic.Offset
	highest [simPartitions]topic.Offset            // high watermark shown by anybody
	copied  map[int32]*[simPartitions]topic.Offset // highest high watermark shown from the index copy, by era
	n       int                                    // records acked with acks=all
	commits int
	lost    int // records acked with acks=1 that are not there
	reads   int
	others  int // reads answered by agents that do not own the partition

	extra    [len(simCounts)]atomic.Int64 // what else was reached
	unseen   bool                         // the index copy went back without a sign
	journals map[topic.JournalID]simJournal
	trouble  []simTrouble
	spoiled  map[string]bool // keys of checkpoints in whose place something else is

	mates []*simMember // of all teams; fixed before they work
}

// simCounts names what a book counts beside its own fields.
var simCounts = [...]string{"damaged reads", "sealed in a move", "generations", "members' commits", "topics made", "topics deleted", "begun from a checkpoint",
	"spoiled checkpoints", "killed at a checkpoint", "deletions", "spoiled compacted objects", "killed at compaction",
	"jobs for another", "jobs lost to another", "log starts raised by age"}

// The places in simCounts.
const (
	simDamaged = iota
	simSealedInAMove
	simGenerations
	simTeamCommits
	simTopicsMade
	simTopicsDeleted
	simBegunFrom
	simSpoiled
	simKilledAtCheckpoint
	simDeletions
	simCompactedSpoiled
	simKilledAtCompaction
	simJobsForAnother
	simJobsLost
	simAged
)

// sender is a producer and all it sent, in its order.
type simSender struct {
	*simProducer
	values []string
}

func newBook(p *simPool) *simBook {
	return &simBook{
		p: p, seen: make(map[spot]string), all: make(map[spot]string), one: make(map[spot]string),
		shown: make(map[*simProcess]*[simPartitions]topic.Offset), copied: make(map[int32]*[simPartitions]topic.Offset),
		journals: make(map[topic.JournalID]simJournal), spoiled: make(map[string]bool),
	}
}

func (b *simBook) records() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// sent notes what a producer is about to send.
func (b *simBook) sent(c *simProducer, values []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.made {
		if s.simProducer == c {
			s.values = append(s.values, values...)
			return
		}
	}
	b.made = append(b.made, &simSender{c, append([]string(nil), values...)})
}

// acked notes where a producer was told that its records are.
func (b *simBook) acked(c *simProducer, base topic.Offset, values []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.one
	if c.idempotent {
		of = b.all
		b.n += len(values)
		b.ends[c.partition] = max(b.ends[c.partition], base+topic.Offset(len(values)))
	}
	for i, v := range values {
		at := spot{c.partition, base + topic.Offset(i)}
		if other, ok := of[at]; ok && other != v && !c.idempotent {
			b.lost++ // the one before is not in the log that its offset was given out again from
		} else if ok && other != v {
			b.p.wrong("%v was acked for %.16q and %.16q", at, other, v)
		}
		of[at] = v
		if other, ok := b.seen[at]; ok && other != v && c.idempotent {
			b.p.wrong("%v was read as %.16q and is acked for %.16q", at, other, v)
		}
	}
}

// end gives what is known of a partition's end: no answer about its end may be less, and every offset up to it exists.
func (b *simBook) end(partition int32) topic.Offset {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ends[partition]
}

// ended judges an answer about a partition's end that was asked for when least was known (I7).
func (b *simBook) ended(x *simProcess, partition int32, least, end topic.Offset) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if end < least {
		b.p.wrong("%s says that partition %d ends at %d, it was known to reach %d", x.name, partition, end, least)
	}
	b.ends[partition] = max(b.ends[partition], end)
}

// watermark is the highest high watermark that an agent has shown.
func (b *simBook) watermark(x *simProcess, partition int32) topic.Offset {
	b.mu.Lock()
	defer b.mu.Unlock()
	if shown := b.shown[x]; shown != nil {
		return shown[partition]
	}
	return 0
}

// showed judges a high watermark in an answer to a request made when before was the highest shown (I7).
func (b *simBook) showed(x *simProcess, partition int32, before, high topic.Offset) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if high < before {
		b.p.wrong("%s shows high watermark %d of partition %d, it had shown %d", x.name, high, partition, before)
	}
	if b.shown[x] == nil {
		b.shown[x] = new([simPartitions]topic.Offset)
	}
	b.shown[x][partition] = max(b.shown[x][partition], high)
	b.highest[partition] = max(b.highest[partition], high)
	b.reads++
}

// mirrored is the highest high watermark that was shown from the index copy in an era or before it.
func (b *simBook) mirrored(era, partition int32) (high topic.Offset) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e, shown := range b.copied {
		if e <= era {
			high = max(high, shown[partition])
		}
	}
	return high
}

// showedCopy judges a high watermark that an agent showed of a partition that it does not own, asked for when before was
// the highest shown like that: it never goes back among agents that read one open era, nor with the next one (I7, R4). An
// index copy that went back without a sign is beyond that.
func (b *simBook) showedCopy(x *simProcess, era, partition int32, before, high topic.Offset) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if high < before && !b.unseen {
		b.p.wrong("%s shows high watermark %d of partition %d from the index copy, %d was shown from it", x.name, high, partition, before)
	}
	if b.copied[era] == nil {
		b.copied[era] = new([simPartitions]topic.Offset)
	}
	b.copied[era][partition] = max(b.copied[era][partition], high)
	b.others++
}

// read notes the records of a row and gives the offset behind it: one value per offset, on every agent, for ever (I5).
func (b *simBook) read(x *simProcess, partition int32, row []byte) (next topic.Offset) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := recordbatch.Each(row, 1<<20, func(batch []byte, info recordbatch.Info) error {
		next = info.Next()
		for r, err := range recordbatch.Records(batch, 1<<20) {
			if err != nil {
				return err
			}
			at := spot{partition, r.Offset}
			before, ok := b.seen[at]
			if ok && before == string(r.Value) {
				continue
			}
			v := string(r.Value)
			if ok {
				b.p.wrong("%s gives %.16q at %v, it was %.16q", x.name, v, at, before)
			}
			if acked, ok := b.all[at]; ok && acked != v {
				b.p.wrong("%s gives %.16q at %v, where %.16q was acked", x.name, v, at, acked)
			}
			b.seen[at] = v
		}
		return nil
	})
	if err != nil {
		b.p.wrong("%s gives what cannot be read: %v", x.name, err)
	}
	b.ends[partition] = max(b.ends[partition], next)
	return next
}

func (b *simBook) committed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.commits++
}
