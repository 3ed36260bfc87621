package memory

import (
	"context"
	"time"
)

// Date implements objectstore.Dated: the clock of this process is the store's.
func (s *Store) Date(ctx context.Context) (time.Time, error) {
	return time.Now().Round(0), ctx.Err()
}
