package minio_test

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/minio"
	"github.com/odradek/odradek/objectstore/objectstoretest"
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
		host := strings.TrimPrefix(endpoint, "http://")
		return config(t, minio.Config{Endpoint: host, Bucket: "bucket", Prefix: "pre/fix"})
	})
}

func open(t *testing.T, server *servers.S3Server) objectstore.Store {
	t.Helper()
	server.Setenv(t)
	u, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return config(t, minio.Config{Endpoint: u.Host, Secure: u.Scheme == "https", Bucket: server.Bucket, Prefix: "some/prefix"})
}

func config(t *testing.T, c minio.Config) objectstore.Store {
	t.Helper()
	s, err := minio.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
