package chaos

import (
	"context"
	"time"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// Metadata stands before Redis.
func (i *Injector) Metadata(s metadata.Store) metadata.Store { return &meta{s, i} }

type meta struct {
	metadata.Store
	i *Injector
}

// once is around for one thing.
func (m *meta) once(what string, do func() error) error { return m.i.around([]string{what}, do) }

// Index implements metadata.Index.
func (m *meta) Index(ctx context.Context, pin metadata.Pin, control topic.Slot, segments []metadata.Segment) (out []metadata.Outcome, err error) {
	err = m.once(Index, func() error {
		out, err = m.Store.Index(ctx, pin, control, segments)
		return err
	})
	return out, err
}

// Apply implements metadata.Index.
func (m *meta) Apply(ctx context.Context, pin metadata.Pin, first topic.Slot, effects [][]metadata.Effect) (applied topic.Slot, err error) {
	err = m.once(Apply, func() error {
		applied, err = m.Store.Apply(ctx, pin, first, effects)
		return err
	})
	return applied, err
}

// Reattach implements metadata.Eras.
func (m *meta) Reattach(ctx context.Context, pin metadata.Pin, journal topic.JournalID, counted topic.Slot) error {
	return m.once(Reattach, func() error { return m.Store.Reattach(ctx, pin, journal, counted) })
}

// Begin implements metadata.Builder.
func (m *meta) Begin(ctx context.Context, pin metadata.Pin) error {
	return m.once(Begin, func() error { return m.Store.Begin(ctx, pin) })
}

// Loaded implements metadata.Builder.
func (m *meta) Loaded(ctx context.Context, pin metadata.Pin, applied topic.Slot) error {
	return m.once(Loaded, func() error { return m.Store.Loaded(ctx, pin, applied) })
}

// Open implements metadata.Builder.
func (m *meta) Open(ctx context.Context, pin metadata.Pin, control topic.Slot, expected []metadata.Expected) error {
	return m.once(Open, func() error { return m.Store.Open(ctx, pin, control, expected) })
}

// Register implements metadata.Heartbeats.
func (m *meta) Register(ctx context.Context, pin metadata.Pin, journal topic.JournalID, info string) error {
	return m.once(Register, func() error { return m.Store.Register(ctx, pin, journal, info) })
}

// Put implements metadata.Copies.
func (m *meta) Put(ctx context.Context, pin metadata.Pin, copies []metadata.Copy) error {
	return m.once(PutCopies, func() error { return m.Store.Put(ctx, pin, copies) })
}

// Get implements metadata.Copies.
func (m *meta) Get(ctx context.Context, pin metadata.Pin, kind metadata.CopyKind, p topic.Partition, keys []string) (out []metadata.Copy, err error) {
	err = m.once(GetCopies, func() error {
		out, err = m.Store.Get(ctx, pin, kind, p, keys)
		return err
	})
	return out, err
}

// Time implements metadata.Timed.
func (m *meta) Time(ctx context.Context) (time.Time, error) { return metadata.Time(ctx, m.Store) }
