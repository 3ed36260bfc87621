package memory

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/odradek/odradek/objectstore"
)

var _ objectstore.Uploader = (*Store)(nil)

// upload is an object that is not there yet.
type upload struct {
	store *Store
	key   string
	begun time.Time

	// The store's lock guards the rest.
	count objectstore.PartCount
	parts [][]byte
	done  bool // it was completed
}

// Upload implements objectstore.Uploader.
func (s *Store) Upload(ctx context.Context, key string) (objectstore.Upload, error) {
	if err := admit(ctx, "upload", key); err != nil {
		return nil, err
	}
	u := &upload{store: s, key: key, begun: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploads == nil {
		s.uploads = make(map[*upload]struct{})
	}
	s.uploads[u] = struct{}{}
	return u, nil
}

// gone reports an upload that was aborted.
func (u *upload) gone() error {
	if _, ok := u.store.uploads[u]; !ok {
		return objectstore.ErrUploadGone
	}
	return nil
}

// Append implements objectstore.Upload. A part that fails its own check is refused.
func (u *upload) Append(ctx context.Context, part objectstore.Body) error {
	if err := admit(ctx, "upload", u.key); err != nil {
		return err
	}
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	err := u.gone()
	if err == nil {
		err = u.count.Admit(part.Size)
	}
	if err == nil {
		err = part.Check()
	}
	if err != nil {
		return fmt.Errorf("upload %s: %w", u.key, err)
	}
	u.count.Add(part.Size)
	u.parts = append(u.parts, bytes.Join(part.Parts, nil))
	return nil
}

// Complete implements objectstore.Upload.
func (u *upload) Complete(ctx context.Context) error {
	if err := admit(ctx, "complete", u.key); err != nil {
		return err
	}
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	if u.done {
		return nil
	}
	err := u.count.Whole()
	if err == nil {
		err = u.gone()
	}
	if _, ok := u.store.objects[u.key]; ok && err == nil {
		err = objectstore.ErrExists
	}
	if err != nil {
		return fmt.Errorf("complete %s: %w", u.key, err)
	}
	u.store.objects[u.key] = object{data: bytes.Join(u.parts, nil), modified: time.Now()}
	delete(u.store.uploads, u)
	u.done, u.parts = true, nil
	return nil
}

// Abort implements objectstore.Upload.
func (u *upload) Abort(ctx context.Context) error {
	if err := admit(ctx, "abort", u.key); err != nil {
		return err
	}
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	delete(u.store.uploads, u)
	return nil
}

// AbortStale implements objectstore.Uploader.
func (s *Store) AbortStale(ctx context.Context, prefix string, before time.Time) (int, error) {
	if err := objectstore.CheckPrefix(prefix); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("list uploads %s: %w", prefix, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := 0
	for u := range s.uploads {
		if strings.HasPrefix(u.key, prefix) && u.begun.Before(before) {
			delete(s.uploads, u)
			ended++
		}
	}
	return ended, nil
}
