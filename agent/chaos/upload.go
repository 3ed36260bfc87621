package chaos

import (
	"context"
	"time"

	"github.com/odradek/odradek/objectstore"
)

// Upload implements objectstore.Uploader. What is uploaded is no arrow of the protocol: nothing knows of it before a
// manifest names it.
func (s *store) Upload(ctx context.Context, key string) (objectstore.Upload, error) {
	below, err := objectstore.Uploads(s.Store)
	if err != nil {
		return nil, err
	}
	return below.Upload(ctx, key)
}

// AbortStale implements objectstore.Uploader.
func (s *store) AbortStale(ctx context.Context, prefix string, before time.Time) (int, error) {
	below, err := objectstore.Uploads(s.Store)
	if err != nil {
		return 0, err
	}
	return below.AbortStale(ctx, prefix, before)
}
