package meter

import (
	"context"
	"time"

	"github.com/odradek/odradek/objectstore"
)

// Date implements objectstore.Dated. It is no request and not counted.
func (s *Store) Date(ctx context.Context) (time.Time, error) { return objectstore.Date(ctx, s.store) }
