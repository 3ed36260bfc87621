package compaction

import (
	"context"
	"errors"
	"fmt"

	"github.com/odradek/odradek/control"
)

// swap appends a MANIFEST: from its number on, its output is to be read instead of what it replaces (G2). It is only
// proposed while that is what is current; what changes before its turn makes it void, and its output is garbage. Error:
// ErrLost.
func (c *Compactor) swap(ctx context.Context, m control.Manifest) error {
	outcomes, err := c.log.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		if o := s.Judge(m); o.Void {
			return nil, fmt.Errorf("%w: %s", ErrLost, o.Why)
		}
		return []control.Record{m}, nil
	})
	if err == nil && outcomes[0].Void {
		err = fmt.Errorf("%w: %s", ErrLost, outcomes[0].Why)
	}
	if err != nil {
		if errors.Is(err, ErrLost) {
			c.merged.lost.Add(1)
		}
		return fmt.Errorf("append manifest of %s: %w", m.Output, err)
	}
	c.rememberReplaced(m)
	return nil
}

// rememberReplaced notes that what a MANIFEST replaced had been swapped in.
func (c *Compactor) rememberReplaced(m control.Manifest) {
	number := c.log.State().Next() - 1
	for _, p := range m.Parts {
		for _, o := range p.Replaces {
			if _, ok := c.garbage.once[o]; !ok {
				c.garbage.once[o] = number
			}
		}
	}
}
