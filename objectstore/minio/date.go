package minio

import (
	"context"
	"time"
)

// Date implements objectstore.Dated: what the newest answer said.
func (s *Store) Date(ctx context.Context) (time.Time, error) { return s.dates.Date(ctx) }

// TellsAttempts implements objectstore.Attempting.
func (s *Store) TellsAttempts() bool { return true }
