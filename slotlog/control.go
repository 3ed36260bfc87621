package slotlog

import (
	"context"
	"fmt"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// Decide tries to make payload control number n. ErrFenced: another payload has the number; read it, apply it, and
// append at n+1 only what is still valid then (S4). After any other error it is unknown whether n was decided, and
// by whom: read n.
func Decide(ctx context.Context, store objectstore.Store, n topic.Slot, payload []byte) error {
	if err := land(ctx, store, ControlKey(n), Freeze(Data, payload), unhedged{}, alone(), nil); err != nil {
		return fmt.Errorf("control %d: %w", n, err)
	}
	return nil
}

// ReadControl gives the payload of control number n. ErrHole: it is not decided yet.
func ReadControl(ctx context.Context, store objectstore.Store, n topic.Slot) ([]byte, error) {
	e, err := Read(ctx, store, ControlKey(n))
	if err != nil {
		return nil, err
	}
	if e.Kind != Data {
		return nil, fmt.Errorf("%s: %w: a %s in the control log", ControlKey(n), ErrCorrupt, e.Kind)
	}
	return e.Payload, nil
}

// ControlThere says whether control number n is there.
func ControlThere(ctx context.Context, store objectstore.Store, n topic.Slot) (bool, error) {
	return thereAt(ctx, store, ControlKey(n))
}
