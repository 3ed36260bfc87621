package s3

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/odradek/odradek/objectstore"
)

// Get implements objectstore.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := objectstore.CheckKey(key); err != nil {
		return nil, err
	}
	data, err := s.get(ctx, key, "")
	return data, outward("get", key, err)
}

// GetRange implements objectstore.Store.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if err := objectstore.CheckKey(key); err != nil {
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
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(key)}
	if header != "" {
		in.Range = &header
	}
	out, err := s.client.GetObject(ctx, in)
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return objectstore.ReadBody(out.Body, aws.ToInt64(out.ContentLength))
}

// Head implements objectstore.Store. A HEAD's 404 has no body: a bucket that is gone looks like an absent object.
func (s *Store) Head(ctx context.Context, key string) (objectstore.Info, error) {
	if err := objectstore.CheckKey(key); err != nil {
		return objectstore.Info{}, err
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.key(key)})
	if status(err) == http.StatusNotFound {
		err = objectstore.ErrNotFound
	}
	if err != nil {
		return objectstore.Info{}, outward("head", key, err)
	}
	return objectstore.Info{Key: key, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified)}, nil
}

// List implements objectstore.Store, 1,000 keys a request.
func (s *Store) List(ctx context.Context, prefix string, fn func(objectstore.Info) error) error {
	if err := objectstore.CheckPrefix(prefix); err != nil {
		return err
	}
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: s.key(prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return outward("list", prefix, err)
		}
		for _, o := range page.Contents {
			key := strings.TrimPrefix(aws.ToString(o.Key), s.prefix)
			if objectstore.CheckKey(key) != nil {
				continue // not ours: a directory marker, or someone else's object
			}
			info := objectstore.Info{Key: key, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}
			if err := fn(info); err != nil {
				return err
			}
		}
	}
	return nil
}

// Delete implements objectstore.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := objectstore.CheckKey(key); err != nil {
		return err
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.key(key)})
	if code(err) == "NoSuchKey" {
		err = nil
	}
	return outward("delete", key, err)
}

func (s *Store) key(key string) *string { return aws.String(s.prefix + key) }
