package s3

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/odradek/odradek/objectstore"
)

var _ objectstore.Uploader = (*Store)(nil)

// upload is a multipart upload. Every request of it is sent once.
type upload struct {
	store *Store
	key   string
	id    string
	count objectstore.PartCount
	parts []types.CompletedPart
	done  bool // it was completed
}

// Upload implements objectstore.Uploader. Each part's CRC32C is checked by the store, and once more by Complete.
func (s *Store) Upload(ctx context.Context, key string) (objectstore.Upload, error) {
	if err := objectstore.CheckKey(key); err != nil {
		return nil, err
	}
	out, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &s.bucket, Key: s.key(key), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
	}, attemptOnce)
	if err != nil {
		return nil, outward("upload", key, err)
	}
	return &upload{store: s, key: key, id: aws.ToString(out.UploadId)}, nil
}

// Append implements objectstore.Upload.
func (u *upload) Append(ctx context.Context, part objectstore.Body) error {
	if err := u.count.Admit(part.Size); err != nil {
		return outward("upload", u.key, err)
	}
	number, crc := int32(u.count.Parts+1), encodeCRC(part.CRC32C)
	out, err := u.store.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.store.bucket, Key: u.store.key(u.key), UploadId: &u.id, PartNumber: &number,
		Body: part.Reader(), ContentLength: &part.Size, ChecksumCRC32C: &crc,
	}, once)
	if code(err) == noSuchUpload {
		err = objectstore.ErrUploadGone
	}
	if err != nil {
		return outward("upload", u.key, err)
	}
	u.count.Add(part.Size)
	u.parts = append(u.parts, types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32C: &crc})
	return nil
}

// Complete implements objectstore.Upload.
func (u *upload) Complete(ctx context.Context) error {
	if u.done {
		return nil
	}
	if err := u.count.Whole(); err != nil {
		return outward("complete", u.key, err)
	}
	_, err := u.store.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.store.bucket, Key: u.store.key(u.key), UploadId: &u.id, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts}, MpuObjectSize: &u.count.Size,
	}, attemptOnce)
	switch {
	case status(err) == http.StatusPreconditionFailed, code(err) == preconditionFailed: // which may stand behind a 200
		err = objectstore.ErrExists
	case code(err) == noSuchUpload:
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
	if u.done {
		return nil
	}
	return u.store.abort(ctx, u.key, u.id)
}

func (s *Store) abort(ctx context.Context, key, id string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: s.key(key), UploadId: &id})
	if code(err) == noSuchUpload {
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
	listed, ended, err := s.abortStale(ctx, prefix, *s.key(prefix), before)
	if err == nil && listed == 0 {
		_, ended, err = s.abortStale(ctx, prefix, "", before)
	}
	return ended, outward("abort uploads", prefix, err)
}

// abortStale looks through the uploads that the store lists for a prefix of its keys.
func (s *Store) abortStale(ctx context.Context, prefix, list string, before time.Time) (listed, ended int, err error) {
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &list})
	for n := 0; n < maxListPages && pages.HasMorePages(); n++ {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return listed, ended, err
		}
		for _, u := range page.Uploads {
			listed++
			key, ours := strings.CutPrefix(aws.ToString(u.Key), s.prefix)
			if !ours || objectstore.CheckKey(key) != nil || !strings.HasPrefix(key, prefix) || !aws.ToTime(u.Initiated).Before(before) {
				continue
			}
			if err := s.abort(ctx, key, aws.ToString(u.UploadId)); err != nil {
				return listed, ended, err
			}
			ended++
		}
	}
	return listed, ended, nil
}

// maxListPages bounds how many uploads are looked through, 1,000 a page: a bucket may be others' too.
const maxListPages = 10

const (
	// noSuchUpload is the code of an upload that was completed or aborted, or never was.
	noSuchUpload       = "NoSuchUpload"
	preconditionFailed = "PreconditionFailed"
)

// attemptOnce sends a request without retries.
func attemptOnce(o *s3.Options) { o.Retryer = aws.NopRetryer{} }
