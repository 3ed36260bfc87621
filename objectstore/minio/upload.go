package minio

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/odradek/odradek/objectstore"
)

var _ objectstore.Uploader = (*Store)(nil)

// upload is a multipart upload. Every request of it is sent once.
type upload struct {
	store *Store
	key   string
	id    string
	count objectstore.PartCount
	parts []minio.CompletePart
	done  bool // it was completed
}

// Upload implements objectstore.Uploader. Each part's CRC32C is checked by the store, and once more by Complete.
func (s *Store) Upload(ctx context.Context, key string) (objectstore.Upload, error) {
	if err := admit(ctx, "upload", key); err != nil {
		return nil, err
	}
	id, err := s.once.NewMultipartUpload(ctx, s.bucket, s.prefix+key, minio.PutObjectOptions{
		UserMetadata: map[string]string{"X-Amz-Checksum-Algorithm": "CRC32C"},
	})
	if err != nil {
		return nil, outward("upload", key, err)
	}
	return &upload{store: s, key: key, id: id}, nil
}

// Append implements objectstore.Upload.
func (u *upload) Append(ctx context.Context, part objectstore.Body) error {
	if err := admit(ctx, "upload", u.key); err != nil {
		return err
	}
	if err := u.count.Admit(part.Size); err != nil {
		return outward("upload", u.key, err)
	}
	number := u.count.Parts + 1
	crc := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, part.CRC32C))
	sent, err := u.store.once.PutObjectPart(ctx, u.store.bucket, u.store.prefix+u.key, u.id, number, part.Reader(), part.Size,
		minio.PutObjectPartOptions{CustomHeader: http.Header{"X-Amz-Checksum-Crc32c": {crc}}, DisableContentSha256: true})
	if minio.ToErrorResponse(err).Code == minio.NoSuchUpload {
		err = objectstore.ErrUploadGone
	}
	if err != nil {
		return outward("upload", u.key, err)
	}
	u.count.Add(part.Size)
	u.parts = append(u.parts, minio.CompletePart{PartNumber: number, ETag: sent.ETag, ChecksumCRC32C: crc})
	return nil
}

// Complete implements objectstore.Upload.
func (u *upload) Complete(ctx context.Context) error {
	if err := admit(ctx, "complete", u.key); err != nil || u.done {
		return err
	}
	if err := u.count.Whole(); err != nil {
		return outward("complete", u.key, err)
	}
	var opts minio.PutObjectOptions
	opts.SetMatchETagExcept("*")
	_, err := u.store.once.CompleteMultipartUpload(ctx, u.store.bucket, u.store.prefix+u.key, u.id, u.parts, opts)
	code := minio.ToErrorResponse(err).Code
	switch {
	case status(err) == http.StatusPreconditionFailed, code == minio.PreconditionFailed: // which may stand behind a 200
		err = objectstore.ErrExists
	case code == minio.NoSuchUpload:
		return u.gone(ctx)
	}
	u.done = err == nil
	return outward("complete", u.key, err)
}

// gone finds out what became of an upload that the store does not know: an earlier Complete of it that took effect, or
// nothing.
func (u *upload) gone(ctx context.Context) error {
	_, err := u.store.Head(ctx, u.key)
	switch {
	case err == nil:
		err = objectstore.ErrExists
	case errors.Is(err, objectstore.ErrNotFound):
		err = objectstore.ErrUploadGone
	}
	return outward("complete", u.key, err)
}

// Abort implements objectstore.Upload.
func (u *upload) Abort(ctx context.Context) error {
	if err := admit(ctx, "abort", u.key); err != nil || u.done {
		return err
	}
	return u.store.abort(ctx, u.key, u.id)
}

func (s *Store) abort(ctx context.Context, key, id string) error {
	err := s.reads.AbortMultipartUpload(ctx, s.bucket, s.prefix+key, id)
	if minio.ToErrorResponse(err).Code == minio.NoSuchUpload {
		err = nil
	}
	return outward("abort", key, err)
}

// AbortStale implements objectstore.Uploader, 1,000 uploads a request and a request for each that is ended. MinIO lists
// uploads by their whole key, or all: where a prefix has none, all are looked through, up to a limit.
func (s *Store) AbortStale(ctx context.Context, prefix string, before time.Time) (int, error) {
	if err := objectstore.CheckPrefix(prefix); err != nil {
		return 0, err
	}
	listed, ended, err := s.abortStale(ctx, prefix, s.prefix+prefix, before)
	if err == nil && listed == 0 {
		_, ended, err = s.abortStale(ctx, prefix, "", before)
	}
	return ended, outward("abort uploads", prefix, err)
}

// abortStale looks through the uploads that the store lists for a prefix of its keys.
func (s *Store) abortStale(ctx context.Context, prefix, list string, before time.Time) (listed, ended int, err error) {
	key, id := "", ""
	for range maxListPages {
		if err := ctx.Err(); err != nil {
			return listed, ended, err
		}
		page, err := s.reads.ListMultipartUploads(ctx, s.bucket, list, key, id, "", listPage)
		if err != nil {
			return listed, ended, err
		}
		for _, u := range page.Uploads {
			listed++
			key, ours := strings.CutPrefix(u.Key, s.prefix)
			if !ours || objectstore.CheckKey(key) != nil || !strings.HasPrefix(key, prefix) || !u.Initiated.Before(before) {
				continue
			}
			if err := s.abort(ctx, key, u.UploadID); err != nil {
				return listed, ended, err
			}
			ended++
		}
		if !page.IsTruncated {
			break
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
	return listed, ended, nil
}

const (
	// listPage is how many uploads a request lists.
	listPage = 1000
	// maxListPages bounds how many uploads are looked through: a bucket may be others' too.
	maxListPages = 10
)
