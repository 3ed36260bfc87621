package servers

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The keys of the servers started here.
const (
	accessKey = "odradek-test"
	secretKey = "odradek-test-secret"
	region    = "us-east-1"
)

// S3Server is a server that speaks S3, with an empty bucket.
type S3Server struct {
	Handle
	Endpoint  string // http://host:port
	AccessKey string
	SecretKey string
	Region    string
	Bucket    string
}

// URL names the bucket, or a prefix of it, for the client of package s3: s3://bucket/prefix?endpoint=…
func (s *S3Server) URL(prefix string) string {
	q := url.Values{"endpoint": {s.Endpoint}, "region": {s.Region}}
	u := url.URL{Scheme: "s3", Host: s.Bucket, Path: "/" + prefix, RawQuery: q.Encode()}
	return u.String()
}

// MinioURL names the bucket, or a prefix of it, for the client of package minio: minio://host:port/bucket/prefix.
func (s *S3Server) MinioURL(prefix string) string {
	host, secure := s.host()
	u := url.URL{Scheme: "minio", Host: host, Path: strings.TrimSuffix("/"+s.Bucket+"/"+prefix, "/")}
	u.RawQuery = fmt.Sprintf("secure=%t", secure)
	return u.String()
}

// Env is what a process needs in its environment to use the server.
func (s *S3Server) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey, "AWS_REGION=" + s.Region}
}

// Setenv puts Env into the test's own environment. The test must not be parallel.
func (s *S3Server) Setenv(t testing.TB) {
	t.Helper()
	for _, assignment := range s.Env() {
		name, value, _ := strings.Cut(assignment, "=")
		t.Setenv(name, value)
	}
}

func (s *S3Server) host() (host string, secure bool) {
	if host, ok := strings.CutPrefix(s.Endpoint, "https://"); ok {
		return host, true
	}
	return strings.TrimPrefix(s.Endpoint, "http://"), false
}

// MinIO returns a new bucket in the server that ODRADEK_TEST_S3 names, else in a MinIO of the test's own.
func MinIO(t testing.TB) *S3Server {
	t.Helper()
	if env := os.Getenv("ODRADEK_TEST_S3"); env != "" {
		return externalS3(t, env)
	}
	return OwnMinIO(t)
}

// OwnMinIO starts a MinIO for this test.
func OwnMinIO(t testing.TB) *S3Server {
	t.Helper()
	p := newMinIO(binary(t, "minio"))
	p.own(t)
	return withBucket(t, started(t, p))
}

// VersityGW starts a versitygw for this test, over a directory.
func VersityGW(t testing.TB) *S3Server {
	t.Helper()
	p := newVersityGW(binary(t, "versitygw"))
	p.own(t)
	return withBucket(t, started(t, p))
}

func started(t testing.TB, p *process) *S3Server {
	return &S3Server{
		Handle: Handle{t, p}, Endpoint: "http://" + p.addrs[0], AccessKey: accessKey, SecretKey: secretKey, Region: region,
	}
}

func newMinIO(path string) *process {
	return &process{name: "minio", ports: 2, ready: httpReady("/minio/health/ready"), build: func(p *process) *exec.Cmd {
		cmd := exec.Command(path, "server", "--quiet", "--address", p.addrs[0], "--console-address", p.addrs[1],
			"--certs-dir", p.dir+"/certs", p.dir+"/data")
		cmd.Env = append(os.Environ(), "HOME="+p.dir, "MINIO_ROOT_USER="+accessKey, "MINIO_ROOT_PASSWORD="+secretKey,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on")
		return cmd
	}}
}

func newVersityGW(path string) *process {
	return &process{name: "versitygw", ports: 1, ready: httpReady("/health"), build: func(p *process) *exec.Cmd {
		data := p.dir + "/data"
		os.Mkdir(data, 0o755)
		return exec.Command(path, "--quiet", "--keep-alive", "--health", "/health", "--region", region, "--access", accessKey,
			"--secret", secretKey, "--port", p.addrs[0], "posix", data)
	}}
}

func httpReady(path string) func(*process) error {
	return func(p *process) error {
		answer, err := http.Get("http://" + p.addrs[0] + path)
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", path, answer.Status)
		}
		return nil
	}
}

// withBucket gives the test a bucket that goes when it ends.
func withBucket(t testing.TB, s *S3Server) *S3Server {
	t.Helper()
	host, secure := s.host()
	client, err := minio.New(host, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Secure: secure, Region: s.Region,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Bucket = "odradek-" + strings.ToLower(rand.Text()[:12])
	if err := client.MakeBucket(t.Context(), s.Bucket, minio.MakeBucketOptions{Region: s.Region}); err != nil {
		t.Fatalf("make bucket %s at %s: %v", s.Bucket, s.Endpoint, err)
	}
	return s
}

// externalS3 uses a server from the environment. Its bucket is emptied and removed in the end.
func externalS3(t testing.TB, env string) *S3Server {
	t.Helper()
	u, err := url.Parse(env)
	secret, ok := u.User.Password()
	if err != nil || !ok || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		t.Fatal("ODRADEK_TEST_S3: want http://key:secret@host:port")
	}
	s := &S3Server{Handle: Handle{t: t}, Endpoint: u.Scheme + "://" + u.Host, AccessKey: u.User.Username(), SecretKey: secret, Region: region}
	withBucket(t, s)
	t.Cleanup(func() { removeBucket(t, s) })
	return s
}

func removeBucket(t testing.TB, s *S3Server) {
	host, secure := s.host()
	client, err := minio.New(host, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Secure: secure, Region: s.Region,
	})
	if err == nil {
		err = client.RemoveBucketWithOptions(context.Background(), s.Bucket, minio.RemoveBucketOptions{ForceDelete: true})
	}
	if err != nil {
		t.Logf("remove bucket %s: %v", s.Bucket, err)
	}
}
