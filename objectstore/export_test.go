package objectstore

import "context"

// CreateInParts is CreateLarge with parts of another size, so that tests need not move 64 MiB.
func CreateInParts(ctx context.Context, s Store, key string, partSize int64, write func(emit func([]byte) error) error) (int64, error) {
	w := largeWriter{store: s, key: key, partSize: partSize}
	return w.create(ctx, write)
}
