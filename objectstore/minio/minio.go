package minio

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/odradek/odradek/objectstore"
)

// readAttempts is how often a read is sent before its error is returned.
const readAttempts = 3

// Config names a bucket.
type Config struct {
	Endpoint string // host:port
	Secure   bool   // HTTPS
	Bucket   string
	Prefix   string // put before every key, with a slash; empty for none
	Region   string // empty: us-east-1, which is MinIO's
}

// Store is a bucket in MinIO. Safe for concurrent use.
type Store struct {
	once   minio.Core // sends every request once
	reads  minio.Core // sends again what the library holds to be worth it
	dates  objectstore.AnswerDates
	bucket string
	prefix string // empty or ending in a slash
}

var _ objectstore.Store = (*Store)(nil)

// Open makes a client for the bucket. It sends nothing: whether the bucket is there shows at the first call.
func Open(c Config) (*Store, error) {
	if c.Endpoint == "" || c.Bucket == "" {
		return nil, errors.New("minio: want an endpoint and a bucket")
	}
	s := &Store{bucket: c.Bucket}
	if c.Prefix != "" {
		if err := objectstore.CheckKey(c.Prefix); err != nil {
			return nil, fmt.Errorf("minio: prefix: %w", err)
		}
		s.prefix = c.Prefix + "/"
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	transport := new(http.Transport)
	objectstore.TuneTransport(transport)
	creds := credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.EnvMinio{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	})
	for core, attempts := range map[*minio.Core]int{&s.once: 1, &s.reads: readAttempts} {
		client, err := minio.New(c.Endpoint, &minio.Options{
			Creds: creds, Secure: c.Secure, Region: c.Region, Transport: objectstore.AttemptTransport(s.dates.Transport(transport)), MaxRetries: attempts,
			BucketLookup: minio.BucketLookupPath,
		})
		if err != nil {
			return nil, fmt.Errorf("minio: %w", err)
		}
		core.Client = client
	}
	return s, nil
}

// String names the bucket for people.
func (s *Store) String() string {
	return "minio://" + s.once.EndpointURL().Host + "/" + s.bucket + "/" + strings.TrimSuffix(s.prefix, "/")
}

// Create implements objectstore.Store with one PUT, sent once. 412 is ErrExists; every other error means unknown.
func (s *Store) Create(ctx context.Context, key string, body objectstore.Body) error {
	if err := admit(ctx, "create", key); err != nil {
		return err
	}
	opts := minio.PutObjectOptions{UserMetadata: maps.Clone(body.Meta), DisableContentSha256: true}
	if opts.UserMetadata == nil {
		opts.UserMetadata = make(map[string]string, 1)
	}
	crc := binary.BigEndian.AppendUint32(nil, body.CRC32C)
	opts.UserMetadata["X-Amz-Checksum-Crc32c"] = base64.StdEncoding.EncodeToString(crc)
	opts.SetMatchETagExcept("*")
	_, err := s.once.PutObject(ctx, s.bucket, s.prefix+key, body.Reader(), body.Size, "", "", opts)
	if status(err) == http.StatusPreconditionFailed {
		err = objectstore.ErrExists
	}
	return outward("create", key, err)
}

// Delete implements objectstore.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := admit(ctx, "delete", key); err != nil {
		return err
	}
	err := s.reads.RemoveObject(ctx, s.bucket, s.prefix+key, minio.RemoveObjectOptions{})
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		err = nil
	}
	return outward("delete", key, err)
}

// admit checks what every call checks first.
func admit(ctx context.Context, call, key string) error {
	if err := objectstore.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", call, key, err)
	}
	return nil
}

// status is the HTTP status of an answer that was an error, 0 when there was no answer.
func status(err error) int {
	var response minio.ErrorResponse
	if errors.As(err, &response) {
		return response.StatusCode
	}
	return 0
}

// outward names call and key, and turns the absence of the object, not that of the bucket, into ErrNotFound.
func outward(call, key string, err error) error {
	if err == nil {
		return nil
	}
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		err = objectstore.ErrNotFound
	}
	return fmt.Errorf("%s %s: %w", call, key, err)
}
