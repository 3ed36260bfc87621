package compaction

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

var (
	// ErrKeyOrder says that the batches to be cleaned do not come in offset order.
	ErrKeyOrder = errors.New("batches out of order")
	// ErrKeyConfig says that a KeyConfig cannot be worked with.
	ErrKeyConfig = errors.New("key compaction settings unusable")
)

// KeySource gives the batches of a partition in rows: each row is whole batches one behind the other, in offset order, from
// the row on that holds offset from. Each call begins anew and gives the same batches. A row is used until the next is asked
// for. An error ends the source.
type KeySource func(from topic.Offset) iter.Seq2[[]byte, error]

// LastOfProducer is the end of what a producer wrote to a partition.
type LastOfProducer struct {
	Data   topic.Offset // the last offset of its last batch of records, if there is one under its newest epoch
	NoData bool         // there is none, but a transaction marker
	Epoch  int16        // its newest
}

// KeyConfig says how a partition is cleaned.
type KeyConfig struct {
	Map   *OffsetMap   // cleared by Clean
	Start topic.Offset // from here on the source is read: the log start
	Dirty topic.Offset // the cleaned point: what the round before gave as KeyStats.Cleaned, Start at first
	Upto  topic.Offset // records from here on are passed on as they are; nothing that can still be aborted lies below
	End   topic.Offset // the log end; the batch that ends there is kept even if no record of it is, as Kafka does

	Now             int64 // ms since 1970
	MinLag          int64 // min.compaction.lag.ms: the first dirty batch that is younger ends what is cleaned; 0: none does
	DeleteRetention int64 // delete.retention.ms

	Aborted  []AbortedTransaction // all that have a record between Start and Upto
	Producer func(id int64) (LastOfProducer, bool)

	MaxRaw int // bytes that the records of a batch may take unpacked; of a batch with more, all are kept
}

// KeyStats is what Clean did.
type KeyStats struct {
	Cleaned topic.Offset // the cleaned point now: Upto, or less if the map was full or a batch too young
	Keys    int          // in the map

	MapRecords, MapBytes  int64 // read to fill the map
	BatchesIn, BatchesOut int64
	RecordsIn, RecordsOut int64
	BytesIn, BytesOut     int64
	Superseded            int64 // records dropped since their key has a newer one
	Tombstones            int64 // dropped since their delete horizon has passed
	Aborted               int64 // records dropped since their transaction was aborted
	Markers               int64 // dropped
	NoKey                 int64 // records dropped since they have no key
	Emptied               int64 // batches kept without a record
	Rewritten             int64 // batches with records that were written anew
	Unreadable            int64 // batches kept whole since their records are malformed or unpack to more than MaxRaw
	Horizon               int64 // the earliest delete horizon that is kept, ms since 1970; 0: none
}

// Clean cleans a partition by key, as Apache Kafka's LogCleaner does: it fills cfg.Map with the newest offset of each key
// between cfg.Dirty and cfg.Upto, as far as the map has room, and then passes all batches of the source on to out without
// the records below that point whose key has a newer one. Offsets do not change.
//
//   - Tombstones go at the first cleaning after their batch's delete horizon, which the first cleaning that finds them sets to
//     Now + DeleteRetention (KIP-534). So do markers of transactions of which nothing else is left.
//   - Records of aborted transactions go, and so do records without a key.
//   - A batch that loses records keeps base offset, last offset, producer and sequence. One that loses all of them goes, but
//     for a producer's last one and the last of the log.
//
// If the map was full, KeyStats.Cleaned is below Upto; another round from there goes on. Each round gets at least one key
// further. Memory is the map, the largest batch twice and its records unpacked twice, at most MaxRaw each. out gets one
// batch at a time, valid until it returns. An error of source or out ends Clean, and so does a batch that is damaged: what
// was passed on until then is of no use. Other errors: ErrKeyOrder, ErrKeyConfig.
func Clean(in KeySource, out func(batch []byte) error, cfg KeyConfig) (KeyStats, error) {
	c := cleaner{KeyConfig: cfg, out: out}
	if cfg.Map == nil || cfg.MaxRaw <= 0 || cfg.Dirty < cfg.Start || cfg.Upto < cfg.Dirty {
		return c.stats, fmt.Errorf("%w: start %d, dirty from %d up to %d, at most %d bytes of records in a batch",
			ErrKeyConfig, cfg.Start, cfg.Dirty, cfg.Upto, cfg.MaxRaw)
	}
	if err := c.fill(in); err != nil {
		return c.stats, err
	}
	c.forget()
	return c.stats, c.filterFrom(in, cfg.Start)
}

// cleaner is one round over one partition.
type cleaner struct {
	KeyConfig
	out   func([]byte) error
	stats KeyStats
	txns  *transactions

	batch   []byte   // written anew
	scratch []byte   // its records before they are packed
	keep    []uint64 // a bit for each record of a batch
}

// eachBatch walks the batches of in from offset from on, checked, until fn says that it is enough.
func eachBatch(in KeySource, from topic.Offset, fn func(b []byte, info recordbatch.Info) (more bool, err error)) error {
	next := topic.Offset(math.MinInt64)
	for row, err := range in(from) {
		if err != nil {
			return err
		}
		for len(row) > 0 {
			info, err := recordbatch.CheckStored(row)
			if err != nil {
				return fmt.Errorf("batch at offset %d: %w", info.BaseOffset, err)
			}
			if info.BaseOffset < next || info.Next() <= info.BaseOffset {
				return fmt.Errorf("%w: offset %d behind %d", ErrKeyOrder, info.BaseOffset, next)
			}
			next = info.Next()
			if next > from {
				if more, err := fn(row[:info.Size:info.Size], info); err != nil || !more {
					return err
				}
			}
			row = row[info.Size:]
		}
	}
	return nil
}

// fill puts the keys of the dirty part into the map and sets stats.Cleaned.
func (c *cleaner) fill(in KeySource) error {
	c.beginFill()
	_, err := c.fillFrom(in)
	return err
}

// beginFill empties the map, before the first call of fillFrom.
func (c *cleaner) beginFill() {
	c.Map.Clear()
	c.txns = newTransactions(c.KeyConfig.Aborted)
	c.stats.Cleaned = c.Upto
}

// fillFrom puts the keys of a source's dirty part into the map. Sources that follow one another in offset are one. more is
// false once no later one is of use: stats.Cleaned says how far this round goes.
func (c *cleaner) fillFrom(in KeySource) (more bool, err error) {
	more = true
	err = eachBatch(in, c.Dirty, func(b []byte, info recordbatch.Info) (bool, error) {
		more, err = c.fillOne(b, info)
		return more, err
	})
	c.stats.Keys = c.Map.Len()
	return more, err
}

func (c *cleaner) fillOne(b []byte, info recordbatch.Info) (more bool, err error) {
	if info.Next() > c.Upto || c.MinLag > 0 && info.MaxTimestamp > c.Now-c.MinLag {
		c.stats.Cleaned = max(min(info.BaseOffset, c.Upto), c.Dirty)
		return false, nil
	}
	c.stats.MapRecords += int64(info.Count)
	c.stats.MapBytes += int64(info.Size)
	if info.IsControl() {
		_, err := c.marker(b, info)
		return true, err
	}
	if c.txns.data(info) {
		return true, nil
	}
	return c.fillBatch(b)
}

// fillBatch puts the keys of a batch into the map. A batch that cannot be read is kept whole later, but no other record goes
// for its sake.
func (c *cleaner) fillBatch(b []byte) (more bool, err error) {
	u, err := recordbatch.Unpack(b, c.MaxRaw)
	if err != nil {
		return true, unlessUnreadable(err)
	}
	more = true
	u.Records(func(_ int, r recordbatch.Raw) bool {
		if r.Key != nil && r.Offset >= c.Dirty && !c.Map.Put(r.Key, r.Offset) {
			c.stats.Cleaned = r.Offset
			more = false
		}
		return more
	})
	return more, nil
}

func unlessUnreadable(err error) error {
	if errors.Is(err, recordbatch.ErrTooLarge) || errors.Is(err, recordbatch.ErrRecord) {
		return nil
	}
	return err
}

// marker reads a control batch and says whether nothing but it is left of its transaction.
func (c *cleaner) marker(b []byte, info recordbatch.Info) (alone bool, err error) {
	u, err := recordbatch.Unpack(b, c.MaxRaw)
	if err != nil {
		return false, fmt.Errorf("control batch at offset %d: %w", info.BaseOffset, err) // brokers write them, not clients
	}
	var key []byte
	u.Records(func(_ int, r recordbatch.Raw) bool { key = r.Key; return false })
	return c.txns.marker(info, key), nil
}

// forget begins with the transactions anew, before the first call of filterFrom.
func (c *cleaner) forget() { c.txns = newTransactions(c.KeyConfig.Aborted) }

// filterFrom passes on what is left of all batches of a source from an offset on. Sources that follow one another in offset
// order may be filtered one after the other.
func (c *cleaner) filterFrom(in KeySource, from topic.Offset) error {
	return eachBatch(in, from, func(b []byte, info recordbatch.Info) (bool, error) {
		c.stats.BatchesIn++
		c.stats.RecordsIn += int64(info.Count)
		c.stats.BytesIn += int64(info.Size)
		switch {
		case info.BaseOffset >= c.stats.Cleaned:
			return true, c.pass(b, info.Count)
		case info.IsControl():
			return true, c.filterMarker(b, info)
		case c.txns.data(info):
			c.stats.Aborted += int64(info.Count)
			return true, c.empty(b, info)
		}
		return true, c.filterData(b, info)
	})
}

func (c *cleaner) filterMarker(b []byte, info recordbatch.Info) error {
	alone, err := c.marker(b, info)
	if err != nil {
		return err
	}
	horizon, found := info.DeleteHorizon()
	switch {
	case info.Count == 0, alone && found && horizon <= c.Now:
		c.stats.Markers += int64(info.Count)
		return c.empty(b, info)
	case alone && !found:
		return c.rewrite(b, info, func(recordbatch.Raw) bool { return true }, true)
	}
	return c.pass(b, info.Count)
}

func (c *cleaner) filterData(b []byte, info recordbatch.Info) error {
	horizon, found := info.DeleteHorizon()
	expired := found && horizon <= c.Now
	return c.rewrite(b, info, func(r recordbatch.Raw) bool {
		if r.Offset >= c.stats.Cleaned {
			return true
		}
		if r.Key == nil {
			c.stats.NoKey++
			return false
		}
		if newest, ok := c.Map.Newest(r.Key); ok && newest > r.Offset {
			c.stats.Superseded++
			return false
		}
		if r.Tombstone && expired {
			c.stats.Tombstones++
			return false
		}
		return true
	}, false)
}

// rewrite passes a batch on with the records that retain says: as it is if that is all of them, unless it gets a delete
// horizon, for being the marker of an empty transaction or having a tombstone.
func (c *cleaner) rewrite(b []byte, info recordbatch.Info, retain func(recordbatch.Raw) bool, marker bool) error {
	u, err := recordbatch.Unpack(b, c.MaxRaw)
	if err != nil {
		c.stats.Unreadable++
		if err := unlessUnreadable(err); err != nil {
			return err
		}
		return c.pass(b, info.Count)
	}
	words := (int(info.Count) + 63) / 64
	if cap(c.keep) < words {
		c.keep = make([]uint64, words)
	}
	c.keep = c.keep[:words]
	clear(c.keep)
	kept, mark := int32(0), marker
	u.Records(func(n int, r recordbatch.Raw) bool {
		if retain(r) {
			kept++
			c.keep[n/64] |= 1 << (n % 64)
			mark = mark || r.Tombstone
		}
		return true
	})
	_, found := info.DeleteHorizon()
	switch {
	case kept == 0:
		return c.empty(b, info)
	case kept == info.Count && (found || !mark):
		return c.pass(b, kept)
	}
	c.stats.Rewritten++
	c.batch, c.scratch = u.AppendKept(c.batch[:0], recordbatch.Rewrite{
		Keep:   func(n int) bool { return c.keep[n/64]&(1<<(n%64)) != 0 },
		Delete: mark && !found, Horizon: c.Now + c.DeleteRetention, Scratch: c.scratch,
	})
	return c.pass(c.batch, kept)
}

// empty passes on nothing of a batch, or the batch without its records if it must be kept.
func (c *cleaner) empty(b []byte, info recordbatch.Info) error {
	if info.Next() != c.End && !c.lastOfProducer(info) {
		return nil
	}
	c.stats.Emptied++
	c.batch = recordbatch.AppendEmpty(c.batch[:0], b)
	return c.pass(c.batch, 0)
}

// lastOfProducer reports whether a batch is needed for what it says about its producer: the last sequence, or, if it has
// written no record under it, the newest epoch.
func (c *cleaner) lastOfProducer(info recordbatch.Info) bool {
	if !info.HasProducer() || c.Producer == nil {
		return false
	}
	last, ok := c.Producer(info.ProducerID)
	switch {
	case !ok:
		return false
	case last.NoData:
		return info.IsControl() && info.ProducerEpoch == last.Epoch
	}
	return info.Next()-1 == last.Data
}

func (c *cleaner) pass(b []byte, records int32) error {
	c.stats.BatchesOut++
	c.stats.RecordsOut += int64(records)
	c.stats.BytesOut += int64(len(b))
	if info, err := recordbatch.Read(b); err == nil {
		if horizon, ok := info.DeleteHorizon(); ok && (c.stats.Horizon == 0 || horizon < c.stats.Horizon) {
			c.stats.Horizon = horizon
		}
	}
	return c.out(b)
}
