package faulty

import (
	"context"
	"fmt"
	"time"

	"github.com/odradek/odradek/objectstore"
)

// Date implements objectstore.Dated. It is no call to the script, as it is no request; during an outage there is none.
func (s *Store) Date(ctx context.Context) (time.Time, error) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down {
		return time.Time{}, fmt.Errorf("%w: %w", objectstore.ErrNoDate, ErrDown)
	}
	return objectstore.Date(ctx, s.store)
}

// TellsAttempts implements objectstore.Attempting.
func (s *Store) TellsAttempts() bool { return objectstore.TellsAttempts(s.store) }
