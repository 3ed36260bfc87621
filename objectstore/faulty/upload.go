package faulty

import (
	"context"
	"fmt"
	"time"

	"github.com/odradek/odradek/objectstore"
)

var _ objectstore.Uploader = (*Store)(nil)

type upload struct {
	below objectstore.Upload
	store *Store
	key   string
	lost  bool // it was completed, and the answer lost
}

// Upload implements objectstore.Uploader.
func (s *Store) Upload(ctx context.Context, key string) (objectstore.Upload, error) {
	below, err := objectstore.Uploads(s.store)
	if err != nil {
		return nil, err
	}
	f, err := s.admit(ctx, objectstore.KindUpload, key, 0)
	if err != nil {
		return nil, err
	}
	u, err := below.Upload(ctx, key)
	if err = f.answer("upload", key, err); err != nil {
		return nil, err
	}
	return &upload{below: u, store: s, key: key}, nil
}

// Append implements objectstore.Upload. A part whose answer was lost was not added: the next one takes its number, as in S3.
func (u *upload) Append(ctx context.Context, part objectstore.Body) error {
	f, err := u.store.admit(ctx, objectstore.KindPart, u.key, part.Size)
	if err != nil {
		return err
	}
	if f.After != nil { // what took effect is a part that the next attempt replaces
		return f.answer("upload", u.key, nil)
	}
	return u.below.Append(ctx, part)
}

// Complete implements objectstore.Upload. One that is Late takes effect at Store.Land.
func (u *upload) Complete(ctx context.Context) error {
	f, err := u.store.admit(ctx, objectstore.KindComplete, u.key, 0)
	if err != nil {
		return err
	}
	if f.Late {
		u.store.hold(func(ctx context.Context) error { return u.below.Complete(ctx) })
		return fmt.Errorf("complete %s: %w", u.key, ErrLost)
	}
	err = u.below.Complete(ctx)
	if err == nil && u.lost {
		err = fmt.Errorf("complete %s: %w", u.key, objectstore.ErrExists)
	}
	u.lost = u.lost || err == nil && f.After != nil
	return f.answer("complete", u.key, err)
}

// Abort implements objectstore.Upload.
func (u *upload) Abort(ctx context.Context) error {
	f, err := u.store.admit(ctx, objectstore.KindAbort, u.key, 0)
	if err != nil {
		return err
	}
	return f.answer("abort", u.key, u.below.Abort(ctx))
}

// AbortStale implements objectstore.Uploader. To the script it is one List.
func (s *Store) AbortStale(ctx context.Context, prefix string, before time.Time) (int, error) {
	below, err := objectstore.Uploads(s.store)
	if err != nil {
		return 0, err
	}
	f, err := s.admit(ctx, objectstore.KindList, prefix, 0)
	if err != nil {
		return 0, err
	}
	ended, err := below.AbortStale(ctx, prefix, before)
	return ended, f.answer("list uploads", prefix, err)
}
