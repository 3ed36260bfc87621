package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/odradek/odradek/metadata"
)

var _ metadata.Timed = (*Store)(nil)

// Time implements metadata.Timed with Redis' command TIME.
func (s *Store) Time(ctx context.Context) (time.Time, error) {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("redis TIME: %w", classify(err))
	}
	return now, nil
}
