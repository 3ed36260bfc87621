package faulty

import (
	"context"
	"time"

	"github.com/odradek/odradek/metadata"
)

var _ metadata.Timed = (*Store)(nil)

// Time implements metadata.Timed: the world's clock is the one that all of it runs by.
func (s *Store) Time(ctx context.Context) (time.Time, error) {
	return call(ctx, s, "Time", func(metadata.Store) (time.Time, error) { return time.Now().Round(0), nil })
}
