package bucket_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/test/servers"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func TestOpen_Directory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with space", "bucket")
	u, err := bucket.FileURL(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, d, err := bucket.Open(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if d.Scheme != "file" || d.Text != "directory "+dir || d.Directory == nil {
		t.Errorf("opened %s: %+v", u, d)
	}
	if err := store.Create(t.Context(), "a/b", objectstore.NewBody([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a", "b")); err != nil || string(got) != "x" {
		t.Errorf("the object's file holds %q, %v", got, err)
	}
}

func TestOpen_ServersByBothClients(t *testing.T) {
	server := servers.SharedMinIO(t)
	server.Setenv(t)
	for _, u := range []string{server.URL("pre/fix"), server.MinioURL("pre/fix2"), server.URL(""), server.MinioURL("")} {
		store, d, err := bucket.Open(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(d.Text, server.Bucket) || d.Directory != nil {
			t.Errorf("opened %s: %+v", u, d)
		}
		if err := bucket.Probe(t.Context(), store); err != nil {
			t.Errorf("probe %s: %v", u, err)
		}
		if left := keys(t, store); len(left) != 0 {
			t.Errorf("probe of %s left %q", u, left)
		}
	}
}

func TestOpen_Descriptions(t *testing.T) {
	tests := []struct{ url, text string }{
		{"memory://", "memory, lost when the process ends"},
		{"s3://b?region=eu-central-1", "bucket b, at S3"},
		{"s3://b/p/q/?region=eu-central-1", "bucket b, prefix p/q, at S3"},
		{"s3://b/p?endpoint=http://localhost:9000", "bucket b, prefix p, at http://localhost:9000"},
		{"minio://localhost:9000/b/p?secure=false", "bucket b, prefix p, at MinIO localhost:9000"},
		{"minio://play.example.org/b", "bucket b, at MinIO play.example.org"},
	}
	for _, test := range tests {
		_, d, err := bucket.Open(t.Context(), test.url)
		if err != nil || d.Text != test.text {
			t.Errorf("open %s: %q, %v; want %q", test.url, d.Text, err, test.text)
		}
	}
}

func TestOpen_RefusedURLs(t *testing.T) {
	tests := []struct{ url, want string }{
		{"", "scheme"},
		{"/var/lib", "scheme"},
		{"gs://bucket", "scheme"},
		{"file://relative/dir", "absolute"},
		{"file:relative", "file://"},
		{"file:///", "absolute"},
		{"file:///x?sync=no", "unknown key \"sync\""},
		{"memory://x", "nothing behind"},
		{"s3:///prefix", "s3://bucket"},
		{"s3://host:9000/bucket", "endpoint"},
		{"s3://b/UPPER?region=r", "prefix"},
		{"s3://b/a//b?region=r", "prefix"},
		{"s3://b?reigon=x", "unknown key \"reigon\"; s3:// has endpoint and region"},
		{"s3://b?region=x&region=y", "2 times"},
		{"s3://b?endpoint=localhost:9000", "endpoint: want"},
		{"s3://b?endpoint=http://h/path", "endpoint: want"},
		{"minio://h:1", "minio://host:port/bucket"},
		{"minio:///b", "minio://host:port/bucket"},
		{"minio://h:1/b?secure=maybe", "true or false"},
		{"minio://h:1/b?endpoint=http://x", "unknown key"},
	}
	for _, test := range tests {
		if _, _, err := bucket.Open(t.Context(), test.url); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("open %q: %v; want an error with %q", test.url, err, test.want)
		}
	}
}

func TestOpen_CredentialsAreRefusedAndNotRepeated(t *testing.T) {
	urls := []string{
		"s3://key:hunter2@b/p", "minio://key:hunter2@h:9000/b", "s3://b?endpoint=http://key:hunter2@h:9000",
		"s3://b?secret_key=hunter2", "minio://h:9000/b?access_key=hunter2",
	}
	for _, u := range urls {
		_, _, err := bucket.Open(t.Context(), u)
		if !errors.Is(err, bucket.ErrCredentials) {
			t.Errorf("open %q: %v, want ErrCredentials", u, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
	for _, u := range []string{"s3://key:hunter2@b:port", "s3://key:hunter2/b", "s3://key:hunter2@b/\x7f"} {
		if _, _, err := bucket.Open(t.Context(), u); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a URL that does not parse: %v", err)
		}
	}
}

func keys(t *testing.T, store objectstore.Store) []string {
	t.Helper()
	var found []string
	err := store.List(t.Context(), "", func(info objectstore.Info) error {
		found = append(found, info.Key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
