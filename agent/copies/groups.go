package copies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// Load begins the copies of a partition of the offsets topic, whose log ends at end, and gives what the ones in Redis
// say: the log from there on tells the rest. Without any that can be relied on it gives 0 and none. It blocks for a few
// round trips, at most giveUp.
func (w *Writer) Load(ctx context.Context, p topic.Partition, end topic.Offset) (topic.Offset, []Entry) {
	t := w.begin(p)
	if end == 0 {
		return 0, nil
	}
	position, entries, err := w.read(ctx, t, end)
	if err != nil {
		if !errors.Is(err, errNone) {
			w.slog.InfoContext(ctx, "copies of groups not used", slog.Any("partition", p), slog.Any("error", err))
		}
		return 0, nil
	}
	return position, entries
}

// Restart is for copies that the log disagreed with: everything read comes again, from offset 0 on.
func (w *Writer) Restart(p topic.Partition) { w.begin(p) }

// Apply takes in the records at [base, base+len(entries)), which count; one of a Kind 0 is passed over. They come in
// order; after Loaded without a gap. It does not block.
func (w *Writer) Apply(p topic.Partition, base topic.Offset, entries []Entry) {
	if t := w.table(p); t != nil && !t.apply(base, entries) {
		w.slog.Warn("copies of groups end until they are loaded again, records are missing", slog.Any("partition", p), slog.Int64("offset", int64(base)))
	}
}

// Loaded says that everything below end was applied: from now on the partition's copies are written.
func (w *Writer) Loaded(p topic.Partition, end topic.Offset) {
	if t := w.table(p); t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.position, t.following = end, true
	}
}

// Unload ends the copies of a partition that this agent no longer coordinates. What is in Redis stays for the next one.
func (w *Writer) Unload(p topic.Partition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tables, p)
}

func (w *Writer) begin(p topic.Partition) *table {
	t := newTable(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tables[p] = t
	return t
}

// read fills a table from the copies in Redis.
func (w *Writer) read(ctx context.Context, t *table, end topic.Offset) (topic.Offset, []Entry, error) {
	pin, ok := w.cfg.Newest()
	if !ok {
		return 0, nil, errNone
	}
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	heads, err := w.store.Get(ctx, pin, metadata.CopyHead, t.partition, []string{""})
	if err != nil {
		return 0, nil, err
	}
	if len(heads) != 1 {
		return 0, nil, errNone
	}
	h, err := readHead(heads[0])
	if err != nil {
		return 0, nil, err
	}
	if h.position > end {
		return 0, nil, fmt.Errorf("%w: they stand at %d, the log ends at %d", errUnfit, h.position, end)
	}
	var copies []metadata.Copy
	for _, kind := range []metadata.CopyKind{metadata.CopyGroup, metadata.CopyOffset} {
		some, err := w.store.All(ctx, pin, kind, t.partition)
		if err != nil {
			return 0, nil, err
		}
		copies = append(copies, some...)
	}
	entries, err := t.restore(pin, h, copies)
	return h.position, entries, err
}
