package s3

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/odradek/odradek/objectstore"
)

// Create implements objectstore.Store with one PUT, sent once. 412 is ErrExists. 409 says that another Create of
// the key is under way, and like every other error means unknown.
func (s *Store) Create(ctx context.Context, key string, body objectstore.Body) error {
	if err := objectstore.CheckKey(key); err != nil {
		return err
	}
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:         &s.bucket,
		Key:            s.key(key),
		Body:           body.Reader(),
		ContentLength:  &body.Size,
		IfNoneMatch:    aws.String("*"),
		ChecksumCRC32C: aws.String(encodeCRC(body.CRC32C)),
		Metadata:       body.Meta,
	}, once)
	if status(err) == http.StatusPreconditionFailed {
		err = objectstore.ErrExists
	}
	return outward("create", key, err)
}

// once sends a request without retries and without hashing its payload; the checksum header covers it.
func once(o *s3.Options) {
	o.Retryer = aws.NopRetryer{}
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// encodeCRC gives a checksum as S3's headers carry it: big endian, base64.
func encodeCRC(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// heldTime signs with the time that objectstore.WithSigningTime put into the context, where it did.
type heldTime struct{ s3.HTTPSignerV4 }

func (h heldTime) SignHTTP(ctx context.Context, credentials aws.Credentials, r *http.Request, payloadHash, service, region string, at time.Time, options ...func(*v4.SignerOptions)) error {
	if held, ok := objectstore.SigningTime(ctx); ok {
		at = held
	}
	return h.HTTPSignerV4.SignHTTP(ctx, credentials, r, payloadHash, service, region, at, options...)
}
