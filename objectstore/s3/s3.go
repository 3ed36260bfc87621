package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/odradek/odradek/objectstore"
)

// readAttempts is how often a read is sent before its error is returned.
const readAttempts = 3

// Config names a bucket.
type Config struct {
	Bucket    string
	Prefix    string // put before every key, with a slash; empty for none
	Region    string // empty: from the environment, or us-east-1 where Endpoint is given
	Endpoint  string // of a service that is not Amazon's: http://host:port; empty for S3
	PathStyle bool   // http://host/bucket/key instead of http://bucket.host/key
}

// Store is a bucket in S3. Safe for concurrent use.
type Store struct {
	client *s3.Client
	dates  *objectstore.AnswerDates
	bucket string
	prefix string // empty or ending in a slash
}

var _ objectstore.Store = (*Store)(nil)

// Open makes a client for the bucket. It sends nothing: whether the bucket is there shows at the first call.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Bucket == "" {
		return nil, errors.New("s3: no bucket named")
	}
	prefix := ""
	if c.Prefix != "" {
		if err := objectstore.CheckKey(c.Prefix); err != nil {
			return nil, fmt.Errorf("s3: prefix: %w", err)
		}
		prefix = c.Prefix + "/"
	}
	dates := new(objectstore.AnswerDates)
	client, err := newClient(ctx, c, dates)
	if err != nil {
		return nil, err
	}
	return &Store{client: client, dates: dates, bucket: c.Bucket, prefix: prefix}, nil
}

func newClient(ctx context.Context, c Config, dates *objectstore.AnswerDates) (*s3.Client, error) {
	// The SDK's own client, because it also reads AWS_CA_BUNDLE.
	transport := awshttp.NewBuildableClient().WithTransportOptions(objectstore.TuneTransport)
	load := []func(*config.LoadOptions) error{config.WithHTTPClient(transport)}
	if c.Region != "" {
		load = append(load, config.WithRegion(c.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("s3: configuration: %w", err)
	}
	if cfg.Region == "" {
		if c.Endpoint == "" {
			return nil, errors.New("s3: no region: add ?region=… to the bucket's URL or set AWS_REGION")
		}
		cfg.Region = "us-east-1"
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
		o.HTTPClient = dating{o.HTTPClient, dates}
		o.UsePathStyle = c.PathStyle
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		// A 100-continue before each body would cost a round trip; a refused PUT is rare and its body is wasted.
		o.ContinueHeaderThresholdBytes = -1
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts = readAttempts })
		o.HTTPSignerV4 = heldTime{o.HTTPSignerV4}
	}), nil
}

// String names the bucket for people.
func (s *Store) String() string { return "s3://" + s.bucket + "/" + strings.TrimSuffix(s.prefix, "/") }
