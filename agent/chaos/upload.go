package chaos

import (
	"context"
	"time"

	"github.com/odradek/odradek/objectstore"
)

// Upload implements objectstore.Uploader. Its parts are no arrow of the protocol, its completion is what a Create is.
func (s *store) Upload(ctx context.Context, key string) (objectstore.Upload, error) {
	below, err := objectstore.Uploads(s.Store)
	if err != nil {
		return nil, err
	}
	u, err := below.Upload(ctx, key)
	if err != nil {
		return nil, err
	}
	return &upload{u, s.i, key}, nil
}

type upload struct {
	objectstore.Upload
	i   *Injector
	key string
}

// Complete implements objectstore.Upload.
func (u *upload) Complete(ctx context.Context) error {
	return u.i.around(upkeep(u.key), func() error { return u.Upload.Complete(ctx) })
}

// AbortStale implements objectstore.Uploader.
func (s *store) AbortStale(ctx context.Context, prefix string, before time.Time) (int, error) {
	below, err := objectstore.Uploads(s.Store)
	if err != nil {
		return 0, err
	}
	return below.AbortStale(ctx, prefix, before)
}
