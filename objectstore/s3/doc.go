// Package s3 is a bucket in Amazon S3, or in any service that speaks its protocol and honours If-None-Match, through
// the AWS SDK. No type of the SDK leaves it.
//
// Floor 1. A Create is one PUT with If-None-Match: * and one attempt: the SDK's retries are off, because only the
// caller may decide to send a body again. The payload is unsigned and carries its CRC32C in a header instead, which
// the store checks: half the client CPU of signing it. Reads are retried twice by the SDK.
//
// Credentials come from the standard AWS chain (environment, shared files, web identity, ECS, EC2). They need
// s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket; without the last one S3 answers 403 for a key that
// does not exist, and nothing works. To end uploads that were given up they need s3:AbortMultipartUpload and
// s3:ListBucketMultipartUploads too.
//
// A large object is a multipart upload, whose completion carries If-None-Match: * as well. S3, MinIO and versitygw honour
// it, which the suite checks against the last two.
//
// It starts no goroutine; the HTTP transport has its own, which end with their idle connections.
package s3
