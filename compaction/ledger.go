package compaction

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// LedgerPrefix starts the keys of what says which objects were deleted, and why. Nothing reads them but people.
const LedgerPrefix = "ledger/"

const (
	ledgerKept     = 30 * 24 * time.Hour // for how long a ledger is kept
	deletesAtOnce  = 16
	deletesOfBatch = 10_000 // objects that one ledger lists
)

// Garbage is an object that nothing needs.
type Garbage struct {
	Key  string
	Size int64
	Why  string
}

// remove deletes objects, at most as many as one ledger lists, and gives how many.
func (c *Compactor) remove(ctx context.Context, planned topic.Slot, all []Garbage) (int, error) {
	if len(all) > deletesOfBatch {
		all = all[:deletesOfBatch]
	}
	if err := c.writeLedger(ctx, planned, all); err != nil {
		return 0, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(deletesAtOnce)
	for _, o := range all {
		g.Go(func() error { return c.delete(ctx, o) })
	}
	return len(all), g.Wait()
}

// removeInOrder deletes objects one after the other, and gives how many: where one is left, all behind it are. They are at most
// as many as one ledger lists.
func (c *Compactor) removeInOrder(ctx context.Context, planned topic.Slot, all []Garbage) (int, error) {
	if err := c.writeLedger(ctx, planned, all); err != nil {
		return 0, err
	}
	for i, o := range all {
		if err := c.delete(ctx, o); err != nil {
			return i, err
		}
	}
	return len(all), nil
}

func (c *Compactor) delete(ctx context.Context, o Garbage) error {
	if err := c.store.Delete(ctx, o.Key); err != nil {
		return fmt.Errorf("delete %s: %w", o.Key, err)
	}
	c.merged.garbageObjects.Add(1)
	c.merged.garbageBytes.Add(o.Size)
	return nil
}

// writeLedger says which objects are deleted, before they are: whoever misses one finds who deleted it, when and why.
func (c *Compactor) writeLedger(ctx context.Context, planned topic.Slot, all []Garbage) error {
	if len(all) == 0 {
		return nil
	}
	var id [16]byte
	rand.Read(id[:])
	var b bytes.Buffer
	for _, g := range all {
		fmt.Fprintf(&b, "%s %d %s\n", g.Key, g.Size, g.Why)
	}
	key := fmt.Sprintf("%s%016x-%x", LedgerPrefix, uint64(planned), id)
	if err := c.store.Create(ctx, key, objectstore.NewBody(b.Bytes())); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	return nil
}

// forgetLedgers deletes ledgers that are old by the store's clock: nothing depends on them.
func (c *Compactor) forgetLedgers(ctx context.Context, now time.Time) error {
	var old []string
	err := c.store.List(ctx, LedgerPrefix, func(o objectstore.Info) error {
		if strings.HasPrefix(o.Key, ErasedPrefix) || strings.HasPrefix(o.Key, ErasingPrefix) {
			return nil // people must be able to show it
		}
		if now.Sub(o.Modified) > ledgerKept && len(old) < deletesOfBatch {
			old = append(old, o.Key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list ledgers: %w", err)
	}
	for _, key := range old {
		if err := c.store.Delete(ctx, key); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
	}
	return nil
}
