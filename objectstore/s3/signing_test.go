package s3_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/s3"
	"github.com/odradek/odradek/test/servers"
)

func TestCreate_KeepsTheSigningTimeOfItsFirstAttempt(t *testing.T) {
	var dates []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		dates = append(dates, r.Header.Get("X-Amz-Date"))
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	s := config(t, s3.Config{Bucket: "bucket", Endpoint: server.URL, PathStyle: true})
	first := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ctx := objectstore.WithSigningTime(t.Context(), first)
	for range 2 {
		if err := s.Create(ctx, "k", objectstore.NewBody([]byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Create(t.Context(), "k", objectstore.NewBody([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	server.Close() // its handlers have ended
	const want = "20260102T030405Z"
	if len(dates) != 3 || dates[0] != want || dates[1] != want || dates[2] == want {
		t.Errorf("signed at %q; want twice %s and then the time of the call", dates, want)
	}
}

func TestCreate_OldSignatureIsRefusedByTheStore(t *testing.T) {
	for name, server := range map[string]func(testing.TB) *servers.S3Server{"minio": servers.SharedMinIO, "versitygw": servers.SharedVersityGW} {
		s := open(t, server(t))
		ctx := objectstore.WithSigningTime(t.Context(), time.Now().Add(-20*time.Minute))
		if err := s.Create(ctx, "k", objectstore.NewBody([]byte("x"))); err == nil {
			t.Errorf("%s took a PUT signed 20 minutes ago", name)
		}
		if err := s.Create(t.Context(), "k", objectstore.NewBody([]byte("x"))); err != nil {
			t.Errorf("%s: the same PUT signed now: %v", name, err)
		}
	}
}
