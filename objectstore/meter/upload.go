package meter

import (
	"context"
	"time"

	"github.com/odradek/odradek/objectstore"
)

var _ objectstore.Uploader = (*Store)(nil)

type upload struct {
	objectstore.Upload
	meter *Store
}

// Upload implements objectstore.Uploader. Beginning, each part and completing count as requests of their own, and are paid
// for like a Create each.
func (s *Store) Upload(ctx context.Context, key string) (objectstore.Upload, error) {
	below, err := objectstore.Uploads(s.store)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	u, err := below.Upload(ctx, key)
	s.kinds[objectstore.KindUpload].add(start, 1, 0, err)
	if err != nil {
		return nil, err
	}
	return &upload{u, s}, nil
}

// Append implements objectstore.Upload. Its bytes count whatever came of it: they were sent.
func (u *upload) Append(ctx context.Context, part objectstore.Body) error {
	start := time.Now()
	err := u.Upload.Append(ctx, part)
	u.meter.kinds[objectstore.KindPart].add(start, 1, part.Size, err)
	return err
}

// Complete implements objectstore.Upload.
func (u *upload) Complete(ctx context.Context) error {
	start := time.Now()
	err := u.Upload.Complete(ctx)
	u.meter.kinds[objectstore.KindComplete].add(start, 1, 0, err)
	return err
}

// Abort implements objectstore.Upload.
func (u *upload) Abort(ctx context.Context) error {
	start := time.Now()
	err := u.Upload.Abort(ctx)
	u.meter.kinds[objectstore.KindAbort].add(start, 1, 0, err)
	return err
}

// AbortStale implements objectstore.Uploader: a List, and an Abort for each upload that was ended.
func (s *Store) AbortStale(ctx context.Context, prefix string, before time.Time) (int, error) {
	below, err := objectstore.Uploads(s.store)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	ended, err := below.AbortStale(ctx, prefix, before)
	s.kinds[objectstore.KindList].add(start, 1, 0, err)
	for range ended {
		s.kinds[objectstore.KindAbort].add(time.Now(), 1, 0, nil)
	}
	return ended, err
}
