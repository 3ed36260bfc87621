package s3_test

import (
	"os"
	"testing"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/objectstoretest"
	"github.com/odradek/odradek/objectstore/s3"
	"github.com/odradek/odradek/test/servers"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func TestConformance_MinIO(t *testing.T) {
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store { return open(t, servers.SharedMinIO(t)) })
}

func TestConformance_VersityGW(t *testing.T) {
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store { return open(t, servers.SharedVersityGW(t)) })
}

func TestWire(t *testing.T) {
	objectstoretest.RunWire(t, func(t *testing.T, endpoint string) objectstore.Store {
		t.Setenv("AWS_ACCESS_KEY_ID", "key")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
		return config(t, s3.Config{Bucket: "bucket", Prefix: "pre/fix", Endpoint: endpoint, PathStyle: true})
	})
}

func open(t *testing.T, server *servers.S3Server) objectstore.Store {
	t.Helper()
	server.Setenv(t)
	return config(t, s3.Config{Bucket: server.Bucket, Prefix: "some/prefix", Endpoint: server.Endpoint, PathStyle: true})
}

func config(t *testing.T, c s3.Config) objectstore.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
