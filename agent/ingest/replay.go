package ingest

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// Logged is a WAL entry read back.
type Logged struct {
	Partition topic.Partition
	Epoch     topic.Epoch
	Base      topic.Offset
	Next      topic.Offset
	Records   []byte // as they were admitted, one batch or more
	batches   []recordbatch.Info
}

// ReadLogged decodes a WAL entry.
func ReadLogged(entry []byte) (Logged, error) {
	if len(entry) < walHeader {
		return Logged{}, fmt.Errorf("wal entry of %d bytes: %w", len(entry), recordbatch.ErrTruncated)
	}
	l := Logged{
		Epoch:   topic.Epoch(binary.BigEndian.Uint32(entry[20:])),
		Base:    topic.Offset(binary.BigEndian.Uint64(entry[24:])),
		Records: entry[walHeader:],
	}
	copy(l.Partition.Topic[:], entry)
	l.Partition.Index = int32(binary.BigEndian.Uint32(entry[16:]))
	l.Next = l.Base
	err := recordbatch.Each(l.Records, MaxBatchBytes, func(_ []byte, info recordbatch.Info) error {
		l.batches = append(l.batches, info)
		l.Next += topic.Offset(info.Count)
		return nil
	})
	if err != nil {
		return Logged{}, fmt.Errorf("wal entry of %s at %d: %w", l.Partition, l.Base, err)
	}
	return l, nil
}

// Replayed says what became of a WAL entry of an earlier journal.
type Replayed int

// The three ends of a WAL entry.
const (
	Appended Replayed = iota // it was above the sealed end and has its old offset in this journal
	InLog                    // it lies below the end: the bucket has it
	Stranded                 // the partition is not this journal's, or entries before it are missing
)

// Replay appends a WAL entry of an earlier journal whose partitions this one took over, if it is the very next of its
// partition: the record gets the offset it had (B3). Entries are given in the order in which they were logged. The
// Pending counts or fails like any other.
func (j *Journal) Replay(ctx context.Context, l Logged) (Replayed, Pending, error) {
	c := checked{batches: l.batches}
	if len(l.Records) > MaxBatchBytes || len(l.batches) > maxBatches {
		return Stranded, Pending{}, nil
	}
	b := PartitionBatch{Partition: l.Partition, Records: l.Records, Internal: true, replayed: true}
	if err := c.reserve(ctx, j, len(l.Records)+walHeader); err != nil {
		return Stranded, Pending{}, err
	}
	defer c.cancel(j.memory)
	defer j.wake()
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.partitions[l.Partition]
	switch {
	case j.err != nil:
		return Stranded, Pending{}, j.err
	case s != nil && j.refuses(s):
		return Stranded, Pending{}, ErrNotOwner
	case s != nil && l.Next <= s.next:
		return InLog, Pending{}, nil
	case s == nil || l.Base != s.next || l.Epoch >= s.epoch:
		return Stranded, Pending{}, nil
	}
	return Appended, j.place(time.Now(), AcksOne, b, &c, s), nil
}

// Synced waits until all that the WAL took of these is on disk, or else counts.
func Synced(ctx context.Context, ps []Pending) error {
	for _, p := range ps {
		if _, err := p.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
