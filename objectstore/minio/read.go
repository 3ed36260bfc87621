package minio

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/odradek/odradek/objectstore"
)

// Get implements objectstore.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := admit(ctx, "get", key); err != nil {
		return nil, err
	}
	data, err := s.get(ctx, key, "")
	return data, outward("get", key, err)
}

// GetRange implements objectstore.Store.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if err := admit(ctx, "get", key); err != nil {
		return nil, err
	}
	header, err := objectstore.RangeHeader(offset, length)
	if err != nil {
		return nil, outward("get", key, err)
	}
	data, err := s.get(ctx, key, header)
	if status(err) == http.StatusRequestedRangeNotSatisfiable {
		if offset < 0 { // only an empty object has no last bytes
			return []byte{}, nil
		}
		err = objectstore.ErrRange
	}
	if err == nil && offset >= 0 && int64(len(data)) > length { // a server that ignores ranges
		err = fmt.Errorf("asked for %d bytes at %d, got %d", length, offset, len(data))
	}
	if err != nil {
		return nil, outward("get", key, err)
	}
	return data, nil
}

// get reads an object, or the range of it that header names.
func (s *Store) get(ctx context.Context, key, header string) ([]byte, error) {
	var opts minio.GetObjectOptions
	if header != "" {
		opts.Set("Range", header)
	}
	body, info, _, err := s.reads.GetObject(ctx, s.bucket, s.prefix+key, opts)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return objectstore.ReadBody(body, info.Size)
}

// Head implements objectstore.Store. A HEAD's 404 has no body: a bucket that is gone looks like an absent object.
func (s *Store) Head(ctx context.Context, key string) (objectstore.Info, error) {
	if err := admit(ctx, "head", key); err != nil {
		return objectstore.Info{}, err
	}
	info, err := s.reads.StatObject(ctx, s.bucket, s.prefix+key, minio.StatObjectOptions{})
	if status(err) == http.StatusNotFound && minio.ToErrorResponse(err).Code != minio.NoSuchBucket {
		err = objectstore.ErrNotFound
	}
	if err != nil {
		return objectstore.Info{}, outward("head", key, err)
	}
	return objectstore.Info{Key: key, Size: info.Size, Modified: info.LastModified}, nil
}

// List implements objectstore.Store, 1,000 keys a request.
func (s *Store) List(ctx context.Context, prefix string, fn func(objectstore.Info) error) error {
	if err := objectstore.CheckPrefix(prefix); err != nil {
		return err
	}
	options := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}
	for o := range s.reads.ListObjectsIter(ctx, s.bucket, options) {
		if o.Err != nil {
			return outward("list", prefix, o.Err)
		}
		key := strings.TrimPrefix(o.Key, s.prefix)
		if objectstore.CheckKey(key) != nil {
			continue // not ours: a directory marker, or someone else's object
		}
		if err := fn(objectstore.Info{Key: key, Size: o.Size, Modified: o.LastModified}); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return outward("list", prefix, err)
	}
	return nil
}
