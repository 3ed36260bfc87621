package minio_test

import (
	"net/url"
	"testing"

	api "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/s3"
	"github.com/odradek/odradek/test/servers"
)

// Both clients tell whether a bucket keeps versions, also when it does no more: those of then are there still.
func TestVersioning_IsTold(t *testing.T) {
	server := servers.SharedMinIO(t)
	stores := map[string]objectstore.Store{"minio": open(t, server)}
	other, err := s3.Open(t.Context(), s3.Config{Bucket: server.Bucket, Endpoint: server.Endpoint, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	stores["s3"] = other
	u, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := api.New(u.Host, &api.Options{Creds: credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""), Secure: u.Scheme == "https"})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		change func() error
		kept   bool
	}{
		{func() error { return nil }, false},
		{func() error { return admin.EnableVersioning(t.Context(), server.Bucket) }, true},
		{func() error { return admin.SuspendVersioning(t.Context(), server.Bucket) }, true},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		for name, s := range stores {
			if kept, err := objectstore.Versioning(t.Context(), s); kept != step.kept || err != nil {
				t.Errorf("%s: versions kept: %t, %v; want %t", name, kept, err, step.kept)
			}
		}
	}
}
