package objectstore

import (
	"context"
	"time"
)

type signingTimeKey struct{}

// WithSigningTime makes a Create below ctx carry t as the time of its signature, in stores that sign. A caller that
// repeats a Create keeps the time of its first attempt, so that the store itself refuses a repeat that comes much
// later than it was decided (rule O3; S3 allows 15 minutes). Without it each call is signed with the time it is made.
// The s3 package honours it. minio-go signs by its own clock, so the minio package cannot.
func WithSigningTime(ctx context.Context, t time.Time) context.Context {
	return context.WithValue(ctx, signingTimeKey{}, t)
}

// SigningTime returns the time that WithSigningTime put into ctx.
func SigningTime(ctx context.Context) (time.Time, bool) {
	t, ok := ctx.Value(signingTimeKey{}).(time.Time)
	return t, ok
}
