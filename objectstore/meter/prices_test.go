package meter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParsePrices(t *testing.T) {
	for _, c := range []struct {
		yaml string
		want Prices
		err  string // a part of it; empty: none
	}{
		{"", Prices{Name: "own"}, ""},
		{"put: 0.005\nget: 0.0004\n", Prices{Name: "own", Put: 0.005, Get: 0.0004}, ""},
		{"name: ours\ndelete: 1\nsent: 2\nreceived: 3\nstorage: 4\n", Prices{Name: "ours", Delete: 1, Sent: 2, Received: 3, Storage: 4}, ""},
		{"puts: 1\n", Prices{}, "puts"}, // a word that is none, and would cost nothing
		{"put: -1\n", Prices{}, "put: -1 is no price"},
		{"get: .nan\n", Prices{}, "get: NaN is no price"},
		{"storage: .inf\n", Prices{}, "storage: +Inf is no price"},
		{"received: 1000000\n", Prices{}, "received: 1e+06 is no price"},
		{"put: cheap\n", Prices{}, "cheap"},
		{"- put\n", Prices{}, "cannot unmarshal"},
	} {
		got, err := ParsePrices([]byte(c.yaml))
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %+v, %v; want %+v, %q", c.yaml, got, err, c.want, c.err)
		}
	}
}

func TestPricesFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "prices.yml")
	if err := os.WriteFile(file, []byte("name: ours\nput: 7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		setting, bucket string
		want            Prices
	}{
		{"auto", "s3://b/p?region=eu-central-1", AWSStandard},
		{"", "s3://b--use1-az4--x-s3/p", AWSExpress},
		{"auto", "s3://b/p?endpoint=http://minio:9000", Free},
		{"auto", "file:///data", Free},
		{"aws-standard", "memory://", AWSStandard},
		{file, "s3://b", Prices{Name: "ours", Put: 7}},
	} {
		if got, err := PricesFor(c.setting, c.bucket); got != c.want || err != nil {
			t.Errorf("%q for %s: %+v, %v; want %+v", c.setting, c.bucket, got, err, c.want)
		}
	}
	if _, err := PricesFor("aws", "memory://"); err == nil || !strings.Contains(err.Error(), "none of auto") {
		t.Errorf("a table that is none: %v", err)
	}
}
