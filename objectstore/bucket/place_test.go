package bucket_test

import (
	"testing"

	"github.com/odradek/odradek/objectstore/bucket"
)

func TestPlace_AndBack(t *testing.T) {
	for _, c := range []struct{ url, place, other, at string }{
		{"file:///var/lib/x", "/var/lib/x", "/srv/y", "file:///srv/y"},
		{"s3://b/prod/eu?region=r", "/prod/eu", "/blue", "s3://b/blue?region=r"},
		{"s3://b?endpoint=http://h:1", "/", "/blue", "s3://b/blue?endpoint=http://h:1"},
		{"s3://b/blue", "/blue", "/", "s3://b"},
		{"minio://h:9000/b/prod?secure=false", "/prod", "/x/y", "minio://h:9000/b/x/y?secure=false"},
		{"minio://h:9000/b/", "/", "/x", "minio://h:9000/b/x"},
	} {
		place, err := bucket.Place(c.url)
		if err != nil || place != c.place {
			t.Errorf("%s is at %q, %v; want %q", c.url, place, err, c.place)
		}
		at, err := bucket.At(c.url, c.other)
		if err != nil || at != c.at {
			t.Errorf("%s beside %s is %q, %v; want %q", c.other, c.url, at, err, c.at)
		}
	}
}

func TestPlace_WhatIsNone(t *testing.T) {
	for _, place := range []string{"", "blue", "/blue/", "/a//b", "/a/../b", "/."} {
		if _, err := bucket.At("s3://b/prod", place); err == nil {
			t.Errorf("%q is a place", place)
		}
	}
	if _, err := bucket.Place("memory://"); err == nil {
		t.Error("memory has places")
	}
	if at, err := bucket.At("memory://", "/x"); err == nil {
		t.Errorf("memory has %s", at)
	}
}
