package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/trace"
)

// Run freezes buffers into slots until ctx ends or the journal is over, and returns why. It then fails whoever still
// waits: what was frozen may be part of the log or not, and only the seal of this journal will tell.
func (j *Journal) Run(ctx context.Context) error {
	err := j.freezeAll(ctx)
	j.fail(err)
	return err
}

func (j *Journal) freezeAll(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w, some := j.waiting()
		pause := time.Hour
		if some {
			var freeze bool
			if freeze, pause = j.budget.due(time.Now(), w); freeze {
				if err := j.freezeNext(ctx); err != nil {
					return err
				}
				continue
			}
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-j.kick:
		case <-timer.C:
		}
		if err := j.slots.Err(); err != nil {
			return err
		}
	}
}

// Flush freezes what is admitted without regard to the budget and waits until all of it counts.
func (j *Journal) Flush(ctx context.Context) error {
	j.mu.Lock()
	last := j.open
	switch {
	case j.err != nil:
		defer j.mu.Unlock()
		return j.err
	case !last.empty():
		last.urgent = true
	case len(j.full) > 0:
		last = j.full[len(j.full)-1]
	case len(j.frozen) > 0:
		last = j.frozen[len(j.frozen)-1]
	default:
		j.mu.Unlock()
		return nil
	}
	j.mu.Unlock()
	j.wake()
	select {
	case <-last.done:
		return last.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// waiting describes the buffer that is next in line.
func (j *Journal) waiting() (waiting, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b, full := j.open, false
	if len(j.full) > 0 {
		b, full = j.full[0], true
	}
	if b.empty() {
		return waiting{}, false
	}
	return waiting{
		bytes: b.bytes, extents: len(b.order), first: b.first, last: b.last,
		lazy: b.lazy, urgent: b.urgent, full: full, inFlight: j.slots.InFlight(),
		acked: j.acked, putTime: j.putTime,
	}, true
}

// freezeNext gives the next buffer a slot, fixes its bytes and hands them over for upload. From then on the slot
// belongs to these bytes (S1), and the order of slots is the order of offsets.
func (j *Journal) freezeNext(ctx context.Context) error {
	slot, err := j.slots.Next(ctx)
	if err != nil {
		return err
	}
	b, footer := j.take(slot)
	j.budget.spend(b.bytes)
	runs := make([]segment.Run, len(b.order))
	for i, r := range b.order {
		runs[i] = *r
	}
	object, err := segment.Build(footer, runs, j.cfg.Codec)
	if errors.Is(err, segment.ErrTooLarge) && footer.Summary != nil { // it only spares readers 63 footers
		footer.Summary = nil
		object, err = segment.Build(footer, runs, j.cfg.Codec)
	}
	if err != nil { // a broken invariant of ours: the slot stays a hole and the journal ends there
		return fmt.Errorf("build slot %d: %w", slot, err)
	}
	j.mu.Lock()
	b.object = object
	if summarized(slot) {
		j.recent.clear()
	} else {
		j.recent.add(object.Footer.Repeated())
	}
	j.mu.Unlock()
	// I1: these bytes and no others, for ever; the checksum comes from the batches' own, no byte is read again.
	body := slotlog.FreezeBody(slotlog.Data, objectstore.Body{
		Parts: object.Parts, Size: object.Size, CRC32C: object.CRC32C,
	})
	body.Span = b.span
	j.slots.Land(slot, body)
	return nil
}

// take moves the next buffer to the frozen ones and begins its footer.
func (j *Journal) take(slot topic.Slot) (*buffer, segment.Footer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.open
	if len(j.full) > 0 {
		b, j.full[0] = j.full[0], nil // else its batches stay in memory as long as the list
		j.full = j.full[1:]
	} else {
		j.open = newBuffer()
	}
	b.slot, b.frozen, b.frozenAt = slot, true, time.Now()
	b.span = trace.Joined("slot", b.first, b.traced)
	b.span.Number("odradek.slot", int64(slot))
	b.span.Number("odradek.bytes", int64(b.bytes))
	b.span.Number("odradek.extents", int64(len(b.order)))
	b.span.Event("frozen")
	j.frozen = append(j.frozen, b)
	f := segment.Footer{
		Journal: j.cfg.Journal, Slot: slot, CreatedMs: time.Now().UnixMilli(), Producers: b.producers,
		LogStarts: b.logStarts(), Releases: j.freezeReleases(b),
	}
	if summarized(slot) {
		f.Summary = j.summary()
	}
	return b, f
}

func summarized(slot topic.Slot) bool { return slot%segment.SummaryEvery == segment.SummaryEvery-1 } // P3

// recent is what the footers since the last summary said, as long as that may fit the next one.
type recent struct {
	slots []segment.SlotExtents
	bytes int // in a footer, at least
	over  bool
}

// What an extent, a producer and a log start take in a footer, at least.
const (
	extentBytes   = 13
	producerBytes = 7
	startBytes    = 3
)

func (r *recent) add(s segment.SlotExtents) {
	r.bytes += len(s.Extents)*extentBytes + len(s.Producers)*producerBytes + len(s.LogStarts)*startBytes
	r.over = r.over || r.bytes > segment.MaxRecentBytes
	if r.over {
		r.slots = nil // a reader takes the footers one by one
		return
	}
	r.slots = append(r.slots, s)
}

func (r *recent) clear() { *r = recent{} }

// summary lists every partition of the journal, those that were released aside, with its end as of the newest frozen slot,
// and what the footers since the last summary said. The lock is held.
func (j *Journal) summary() *segment.Summary {
	s := &segment.Summary{Recent: j.recent.slots}
	for p, st := range j.partitions {
		next := st.counted
		for _, r := range st.pending {
			if !r.buf.frozen {
				break
			}
			next = r.next
		}
		s.Ends = append(s.Ends, segment.PartitionEnd{Partition: p, Epoch: st.epoch, Next: next})
	}
	return s
}
