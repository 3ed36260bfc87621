package copies

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// Producers is the producer state of the partitions that this agent owns, as it keeps it. Both methods are safe for
// concurrent use and do not wait for I/O.
type Producers interface {
	// ProducerState encodes the state of a partition after everything that counts, and gives the offset where that
	// ends. Not ok: it is not owned.
	ProducerState(p topic.Partition) (state []byte, counted topic.Offset, ok bool)
	// Producing lists the partitions owned that have producers.
	Producing() []topic.Partition
}

// Config holds what a writer is joined to beside its store.
type Config struct {
	Open   func() (metadata.Pin, bool) // the era that this agent keeps the index of now; copies are written in it
	Newest func() (metadata.Pin, bool) // the newest era that the control log names; copies are read under it
	// Counted are copies written, and those that were not and are written later.
	Written, Dropped prometheus.Counter
}

// Writer keeps the copies of one agent's journal. Safe for concurrent use.
type Writer struct {
	store metadata.Copies
	cfg   Config
	slog  *slog.Logger
	heads producerHeads

	mu     sync.Mutex // guards tables
	tables map[topic.Partition]*table
}

// New makes a writer that keeps nothing yet.
func New(store metadata.Copies, producers Producers, cfg Config, logger *slog.Logger) *Writer {
	return &Writer{
		store: store, cfg: cfg, slog: logger, tables: make(map[topic.Partition]*table),
		heads: producerHeads{producers: producers, touched: make(map[topic.Partition]topic.Offset), known: make(map[topic.Partition]struct{})},
	}
}

// Run writes behind until ctx ends.
func (w *Writer) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	away := false
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		pin, ok := w.cfg.Open()
		if !ok {
			continue
		}
		err := w.write(ctx, pin, n%producersEvery == 0)
		if err != nil && !away && ctx.Err() == nil {
			w.slog.WarnContext(ctx, "copies not written for now", slog.Any("error", err))
		}
		away = err != nil
	}
}

// write writes everything that changed, up to the first error.
func (w *Writer) write(ctx context.Context, pin metadata.Pin, producers bool) error {
	for _, t := range w.all() {
		r := t.take(pin)
		if len(r.copies) == 0 {
			continue
		}
		err := w.writeRound(ctx, r)
		t.done(r, err)
		if err != nil {
			return err
		}
	}
	if producers {
		return w.writeProducers(ctx, pin)
	}
	return nil
}

func (w *Writer) writeRound(ctx context.Context, r round) error {
	if r.whole {
		for _, kind := range []metadata.CopyKind{metadata.CopyHead, metadata.CopyGroup, metadata.CopyOffset} {
			if err := w.drop(ctx, r.pin, kind, r.table.partition); err != nil {
				w.cfg.Dropped.Add(float64(len(r.copies)))
				return err
			}
		}
	}
	for rest := r.copies; len(rest) > 0; {
		n := fill(rest)
		if err := w.put(ctx, r.pin, rest[:n]); err != nil {
			w.cfg.Dropped.Add(float64(len(rest)))
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// fill gives how many copies go into one call.
func fill(copies []metadata.Copy) int {
	size := 0
	for i, c := range copies {
		size += len(c.Key) + len(c.Value)
		if i > 0 && size > bytesAtOnce || i == atOnce {
			return i
		}
	}
	return len(copies)
}

func (w *Writer) put(ctx context.Context, pin metadata.Pin, copies []metadata.Copy) error {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	if err := w.store.Put(ctx, pin, copies); err != nil {
		return err
	}
	w.cfg.Written.Add(float64(len(copies)))
	return nil
}

func (w *Writer) drop(ctx context.Context, pin metadata.Pin, kind metadata.CopyKind, p topic.Partition) error {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	return w.store.Drop(ctx, pin, kind, p)
}

func (w *Writer) all() []*table {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*table, 0, len(w.tables))
	for _, t := range w.tables {
		all = append(all, t)
	}
	return all
}

func (w *Writer) table(p topic.Partition) *table {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tables[p]
}

// errNone says that there are no copies of a partition.
var errNone = errors.New("no copies")
