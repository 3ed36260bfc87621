package settings

import "testing"

func TestParseBucket_TakesTheFourKinds(t *testing.T) {
	t.Chdir(t.TempDir())
	for text, want := range map[string]string{
		"file:///srv/data":         "file:///srv/data",
		"file://./data":            fileURL("data"),
		"file://../data":           fileURL("../data"),
		"memory://":                "memory://",
		"s3://bucket/pre?region=x": "s3://bucket/pre?region=x",
		"minio://h:9000/bucket":    "minio://h:9000/bucket",
	} {
		got, err := parseBucket(text)
		if err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
			continue
		}
		if again, err := parseBucket(got); err != nil || again != got {
			t.Errorf("%s: read again: %s, %v", got, again, err)
		}
	}
	for _, text := range []string{
		"", "/srv/data", "srv", "file://", "file:srv", "file://srv/data", "s3://", "s3:///prefix", "minio://h:9000",
		"minio:///bucket", "gs://bucket", "https://bucket.s3.amazonaws.com", "s3://k:s@bucket",
	} {
		if got, err := parseBucket(text); err == nil {
			t.Errorf("%s: got %s, want an error", text, got)
		}
	}
}

func TestCheckRedis_TakesEmbeddedAndURLsWithoutPassword(t *testing.T) {
	for _, text := range []string{"embedded", "redis://h", "redis://h:6379/2", "rediss://user@h:6380?x=1"} {
		if err := checkRedis(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "h:6379", "redis://", "unix:///tmp/s", "redis://u:p@h", "redis://:@h"} {
		if err := checkRedis(text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
