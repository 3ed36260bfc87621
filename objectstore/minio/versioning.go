package minio

import (
	"context"
	"fmt"
)

// Versioning implements objectstore.Versioned.
func (s *Store) Versioning(ctx context.Context) (bool, error) {
	out, err := s.reads.GetBucketVersioning(ctx, s.bucket)
	if err != nil {
		return false, fmt.Errorf("ask whether bucket %s keeps versions: %w", s.bucket, err)
	}
	return out.Status != "", nil
}
