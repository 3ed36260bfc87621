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
	key   string
}

// Upload implements objectstore.Uploader. Beginning, each part and completing count as requests of their own, and are paid
// for like a Create each.
func (s *Store) Upload(ctx context.Context, key string) (objectstore.Upload, error) {
	below, err := objectstore.Uploads(s.store)
	if err != nil {
		return nil, err
	}
	ctx, c := s.begin(ctx, objectstore.KindUpload, key)
	u, err := below.Upload(ctx, key)
	c.end(1, 0, err)
	if err != nil {
		return nil, err
	}
	return &upload{u, s, key}, nil
}

// Append implements objectstore.Upload. Its bytes count whatever came of it: they were sent.
func (u *upload) Append(ctx context.Context, part objectstore.Body) error {
	ctx, c := u.meter.begin(ctx, objectstore.KindPart, u.key)
	err := u.Upload.Append(ctx, part)
	c.end(1, part.Size, err)
	return err
}

// Complete implements objectstore.Upload.
func (u *upload) Complete(ctx context.Context) error {
	ctx, c := u.meter.begin(ctx, objectstore.KindComplete, u.key)
	err := u.Upload.Complete(ctx)
	c.end(1, 0, err)
	return err
}

// Abort implements objectstore.Upload.
func (u *upload) Abort(ctx context.Context) error {
	ctx, c := u.meter.begin(ctx, objectstore.KindAbort, u.key)
	err := u.Upload.Abort(ctx)
	c.end(1, 0, err)
	return err
}

// AbortStale implements objectstore.Uploader: a List, and an Abort for each upload that was ended.
func (s *Store) AbortStale(ctx context.Context, prefix string, before time.Time) (int, error) {
	below, err := objectstore.Uploads(s.store)
	if err != nil {
		return 0, err
	}
	ctx, list := s.begin(ctx, objectstore.KindList, prefix)
	ended, err := below.AbortStale(ctx, prefix, before)
	list.end(1, 0, err)
	for range ended {
		_, abort := s.begin(ctx, objectstore.KindAbort, prefix)
		abort.end(1, 0, nil)
	}
	return ended, err
}
