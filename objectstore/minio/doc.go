// Package minio is a bucket in MinIO, or another service compatible with S3, through minio-go. No type of minio-go
// leaves it.
//
// Floor 1. It keeps the same rules as package s3: a Create is one PUT with If-None-Match: *, sent once, payload
// unsigned, its CRC32C in a header for the store to check; reads are retried twice. What differs is the library:
// minio-go is smaller, needs no region, and signs by its own clock (see objectstore.WithSigningTime). The completion of an
// upload carries If-None-Match: * as well.
//
// Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else MINIO_ROOT_USER and
// MINIO_ROOT_PASSWORD, else the shared AWS file, else the machine's role.
//
// It starts no goroutine; the HTTP transport has its own, which end with their idle connections.
package minio
